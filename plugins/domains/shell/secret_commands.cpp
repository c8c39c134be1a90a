#include "secret_commands.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "rules.hpp"
#include "secret_names.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr int kDeepest = 8;  // sh -c in sh -c

using Words = std::span<const Word>;

// Options that take a secret, of the commands that have such options.
struct Taker {
  std::string_view commands;    // names, a blank before and after each
  std::string_view options;     // letters: "-p secret", "-psecret"
  std::string_view flags = {};  // letters that may stand before: "-xp secret"
  bool only_attached = false;
  std::string_view verb = {};  // only where this word follows
};
constexpr Taker kTakers[] = {
    {" mysql mysqldump mysqladmin mysqlimport mysqlshow mariadb mariadb-dump mysqlsh mycli ", "p",
     "vsBNtCfqE"},
    {" mongo mongosh mongodump mongorestore mongoexport mongoimport ", "p"},
    {" docker podman nerdctl helm buildah skopeo crane regctl az oc cf ibmcloud ", "p", "", false,
     "login"},
    {" curl ", "uUbE", "#0123469fgGiIjkLlMnNOpqRsSvZa"},
    {" http https xh ", "a"},
    {" redis-cli ", "a"},
    {" ldapsearch ldapmodify ldapadd ldapdelete ldappasswd ldapwhoami ", "w", "xZvnMcCAWrL"},
    {" smbclient smbget rpcclient net winexe ", "U"},
    {" zip unzip zipcloak ", "P", "0123456789rqeojmvyFTuXnltCa"},
    {" 7z 7za 7zr rar unrar ", "p", "h", true},
    {" htpasswd ", "b", "cnmBdspiD"},
    {" sqlcmd bcp mosquitto_pub mosquitto_sub ", "P"},
    {" cqlsh influx twine conan snowsql useradd usermod ", "p"},
    {" ssh-keygen ", "NP", "pq"},
    {" ipmitool ", "P"},
    {" snmpwalk snmpget ", "AXc"},
    {" xfreerdp wfreerdp rdesktop ", "p"},
    {" openssl ", "kK"},
    {" security ", "wp"},
    {" lftp ncftp ", "u"},
    {" doctl ", "t"},
    {" dotnet ", "k", "", false, "push"},
};

// Verbs that a secret follows.
struct Verb {
  std::string_view commands, verbs;
};
constexpr Verb kVerbs[] = {
    {" redis-cli ", " auth AUTH "},
    {" rabbitmqctl ", " add_user change_password authenticate_user "},
    {" nmcli mysqladmin ", " password "},
    {" iwconfig ", " key enc "},
    {" ngrok ", " authtoken add-authtoken "},
    {" cargo ", " login "},
    {" snyk wandb cf ", " auth login "},
    {" heroku ", " config:set "},
    {" fly flyctl gh wrangler ", " secret secrets "},
    {" dotnet nuget ", " user-secrets setapikey "},
    {" consul etcdctl ", " put "},
    {" travis ", " encrypt "},
    {" mc ", " alias host "},
    {" openssl ", " passwd "},
    {" ansible-vault ", " encrypt_string "},
    {" rclone ", " obscure "},
    {" net ", " user "},
    {" drush ", " upwd user-password user:password "},
    {" mosquitto_passwd ", " -b "},
    {" aws ", " put-parameter create-secret put-secret-value "},
    {" cloudflared ", " install "},
    {" qpdf ", " --encrypt "},
    {" expect ", " -c "},
};

// Commands whose plain arguments are secrets already.
constexpr std::string_view kAlways =
    " sshpass chpasswd wpa_passphrase mkpasswd secret-tool htdigest vncpasswd oathtool totp-cli "
    "sqlplus impdp expdp sqlldr lpass evil-winrm crackmapexec nxc hydra medusa ";

// Commands that ask for a secret, and take it from a pipe.
constexpr std::string_view kReaders =
    " cryptsetup passwd smbpasswd kinit su pass keepassxc-cli pdbedit mosquitto_passwd ";

// Words after which a name and its value follow.
constexpr std::string_view kSetters =
    " set setenv setx set-environment config configure modify config:set ";

bool listed(std::string_view list, std::string_view name) {
  const std::string padded = " " + std::string(name) + " ";
  return !name.empty() && list.find(padded) != npos;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "-p" itself: the secret is the next word. "-psecret", "-xp": what follows the letter.
bool takes_secret(const Taker &taker, Words words) {
  const bool verb =
      taker.verb.empty() || std::any_of(words.begin(), words.end(),
                                        [&](const Word &word) { return word.chars == taker.verb; });
  for (std::size_t i = 1; verb && i < words.size(); ++i) {
    const std::string_view word = words[i].chars;
    if (word.size() < 2 || word[0] != '-' || word[1] == '-') {
      continue;
    }
    const std::size_t letter = word.find_first_not_of(taker.flags, 1);
    if (letter == npos || taker.options.find(word[letter]) == npos) {
      continue;
    }
    const bool next = !taker.only_attached && i + 1 < words.size() && !words[i + 1].chars.empty() &&
                      words[i + 1].chars[0] != '-';
    if (letter + 1 < word.size() || next) {
      return true;
    }
  }
  return false;
}

bool has_verb(const Verb &verb, Words words) {
  for (std::size_t i = 1; i + 1 < words.size(); ++i) {
    if (listed(verb.verbs, words[i].chars)) {
      return true;
    }
  }
  return false;
}

// The known commands, wherever their names stand: behind `docker exec`, `ssh HOST`, `watch`.
bool known_command(Words words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && listed(" --name --hostname --network ", words[i - 1].chars)) {
      continue;
    }
    const std::string_view name = base_name(words[i].chars);
    const Words rest = words.subspan(i);
    const bool takes = std::any_of(std::begin(kTakers), std::end(kTakers), [&](const Taker &t) {
      return listed(t.commands, name) && takes_secret(t, rest);
    });
    const bool verb = std::any_of(std::begin(kVerbs), std::end(kVerbs), [&](const Verb &v) {
      return listed(v.commands, name) && has_verb(v, rest);
    });
    if (takes || verb) {
      return true;
    }
  }
  return false;
}

// --password secret, -token secret; `set -x API_KEY secret` of fish, `setenv` of csh.
bool names_secret(Words words) {
  bool setter = false;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string &word = words[i].chars;
    const std::string &next = words[i + 1].chars;
    const bool option = word.size() > 2 && word[0] == '-' && is_secret_name(word);
    const bool variable = setter && is_secret_name(word);
    // "aws configure set aws_secret_access_key ..." and the like: a name with an underscore.
    const std::string_view name = std::string_view(word).substr(word.rfind(':') + 1);
    const bool setting = i > 1 && name.find('_') != npos && name.find('/') == npos &&
                         name[0] != '-' && is_secret_name(name);
    if ((option && !next.starts_with("-")) || variable || setting) {
      return true;
    }
    setter = setter || listed(kSetters, word);
  }
  return false;
}

// curl --user a:b, --proxy-user a:b; http -a; psql "user=x password=y" is an assignment.
bool gives_user(const Plain &command) {
  if (!listed(" curl wget etcdctl ", command.name)) {
    return false;
  }
  return std::any_of(command.words.begin(), command.words.end(), [](const Word &word) {
    return word.chars.starts_with("--user") || word.chars.starts_with("--proxy-user") ||
           word.chars.starts_with("--http-user") || word.chars.starts_with("--ftp-user") ||
           (word.chars.starts_with("--cert") && !word.chars.starts_with("--cert-"));
  });
}

// Secrets in words that stand for themselves.
bool tells_secret(const Plain &command) {
  return std::any_of(command.words.begin(), command.words.end(), [&](const Word &word) {
    return word.chars.starts_with("--from-literal") ||
           (command.name.ends_with("freerdp") && word.chars.starts_with("/p:"));
  });
}

// `echo hunter2 > .pgpass`
bool writes_secret(const Command &command, std::string_view name) {
  return listed(" echo printf ", name) &&
         std::any_of(command.targets.begin(), command.targets.end(), [](const Word &target) {
           const std::string_view file = base_name(target.chars);
           return is_secret_name(file) || listed(" .netrc .env .my.cnf ", file);
         });
}

// `echo hunter2 | sudo -S ...`, `| passwd --stdin`, `| docker login --password-stdin`.
bool reads_secret(const Command &command, std::string_view name) {
  const bool option = std::any_of(command.words.begin(), command.words.end(), [](const Word &word) {
    return listed(" --stdin --password-stdin --with-token --passphrase-fd ", word.chars);
  });
  constexpr std::size_t kOptions = 4;
  const Words words = command.words;
  const Words first = words.first(std::min(kOptions, words.size()));
  const bool sudo = !first.empty() && base_name(first[0].chars) == "sudo" &&
                    std::any_of(first.begin() + 1, first.end(), [](const Word &word) {
                      return word.chars.starts_with("-") && !word.chars.starts_with("--") &&
                             word.chars.find('S') != npos;
                    });
  return option || sudo || listed(kReaders, name);
}

bool gives(const std::vector<Command> &commands, bool here, int depth);

bool gives(const Command &command, bool here, int depth) {
  const Plain words = plain(command);
  const std::string_view first =
      command.words.empty() ? std::string_view() : base_name(command.words[0].chars);
  const bool vault = listed(" vault op bw ", words.name) && words.words.size() > 2;
  if (vault || listed(kAlways, words.name) || listed(kAlways, first) ||
      known_command(words.words) || gives_user(words) || names_secret(words.words) ||
      tells_secret(words) || writes_secret(command, words.name) ||
      ((command.piped || here) && reads_secret(command, words.name))) {
    return true;
  }
  for (const Word &word : command.words) {
    std::vector<Command> script = word.inside;
    std::vector<Command> text;  // sh -c 'mysql ...'
    if (word.chars.find(' ') != npos && !parse(whole(word.chars), text)) {
      return true;
    }
    // $(a b) is read as what it is, again and again.
    if (!(text.size() == 1 && text[0].words.size() == 1 && text[0].words[0].chars == word.chars)) {
      std::move(text.begin(), text.end(), std::back_inserter(script));
    }
    if (!script.empty() && (depth >= kDeepest || gives(script, here, depth + 1))) {
      return true;
    }
  }
  return false;
}

bool gives(const std::vector<Command> &commands, bool here, int depth) {
  return std::any_of(commands.begin(), commands.end(),
                     [&](const Command &command) { return gives(command, here, depth); });
}

}  // namespace

bool gives_secret(const std::vector<Command> &commands, bool here) {
  return gives(commands, here, 0);
}

}  // namespace calm::shell
