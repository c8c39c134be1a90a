#include "secrets.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include <common/plain.hpp>

#include "parser.hpp"
#include "rules.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestLine = std::size_t{1} << 14;

constexpr std::string_view kToken = "token";
constexpr std::string_view kPassword = "password";
constexpr std::string_view kKey = "key";
constexpr std::string_view kAddress = "credentials in an address";
constexpr std::string_view kHeader = "header";

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_upper(c) || is_lower(c) || is_digit(c); }
bool is_word(char c) { return is_alnum(c) || c == '_' || c == '-'; }

// Tokens that say what they are by how they begin.
struct Prefix {
  std::string_view text;
  std::size_t more;  // letters, digits, '_' or '-' that must follow
};
constexpr Prefix kPrefixes[] = {
    {"AKIA", 12},
    {"ASIA", 12},
    {"AGPA", 12},
    {"AROA", 12},
    {"ghp_", 16},
    {"gho_", 16},
    {"ghu_", 16},
    {"ghs_", 16},
    {"ghr_", 16},
    {"github_pat_", 16},
    {"glpat-", 12},
    {"gldt-", 12},
    {"glrt-", 12},
    {"glptt-", 12},
    {"glcbt-", 12},
    {"xoxb-", 8},
    {"xoxp-", 8},
    {"xoxa-", 8},
    {"xoxr-", 8},
    {"xoxs-", 8},
    {"xapp-", 8},
    {"sk-", 20},
    {"sk_live_", 8},
    {"sk_test_", 8},
    {"rk_live_", 8},
    {"rk_test_", 8},
    {"pk_live_", 8},
    {"whsec_", 8},
    {"AIza", 30},
    {"ya29.", 8},
    {"GOCSPX-", 8},
    {"npm_", 20},
    {"pypi-", 16},
    {"hf_", 20},
    {"dop_v1_", 16},
    {"SG.", 16},
    {"shpat_", 16},
    {"shpss_", 16},
    {"dckr_pat_", 8},
    {"hvs.", 12},
    {"s.", 24},
    {"lin_api_", 16},
    {"figd_", 12},
    {"PMAK-", 12},
    {"sq0atp-", 12},
    {"EAACEdEose0cBA", 4},
    {"AGE-SECRET-KEY-", 4},
    {"eyJ", 16},
    {"nvapi-", 12},
    {"gsk_", 20},
    {"r8_", 20},
    {"tskey-", 8},
};

std::size_t word_run(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_word) -
                                  text.begin());
}

bool has_known_token(std::string_view line) {
  for (const Prefix &prefix : kPrefixes) {
    for (std::size_t at = line.find(prefix.text); at != npos; at = line.find(prefix.text, at + 1)) {
      const bool begins = at == 0 || !is_word(line[at - 1]);
      if (begins && word_run(line.substr(at + prefix.text.size())) >= prefix.more) {
        return true;
      }
    }
  }
  return false;
}

// A long run of letters of both cases and digits is no word of any language. Paths and words with
// dots are cut where people cut them.
bool has_random_run(std::string_view line) {
  constexpr std::size_t kShortest = 24;
  const auto in_run = [](char c) { return is_alnum(c) || c == '+' || c == '=' || c == '_'; };
  for (std::size_t at = 0; at < line.size();) {
    const auto begin = line.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = std::find_if_not(begin, line.end(), in_run);
    const auto length = static_cast<std::size_t>(end - begin);
    if (length >= kShortest && std::count_if(begin, end, is_upper) >= 2 &&
        std::count_if(begin, end, is_lower) >= 2 && std::count_if(begin, end, is_digit) >= 2) {
      return true;
    }
    at += std::max<std::size_t>(length, 1);
  }
  return false;
}

// A chat robot's: 123456789:AA...
bool has_robot_token(std::string_view line) {
  for (std::size_t colon = line.find(':'); colon != npos; colon = line.find(':', colon + 1)) {
    std::size_t digits = 0;
    while (digits < colon && is_digit(line[colon - 1 - digits])) {
      ++digits;
    }
    if (digits >= 8 && word_run(line.substr(colon + 1)) >= 30) {
      return true;
    }
  }
  return false;
}

// scheme://user:password@host, and https://token@host.
bool has_credentials_in_address(std::string_view line) {
  constexpr std::string_view kMark = "://";
  for (std::size_t at = line.find(kMark); at != npos; at = line.find(kMark, at + 1)) {
    const std::string_view rest = line.substr(at + kMark.size());
    const std::string_view host = rest.substr(0, rest.find_first_of("/?# \t\"'<>|;&"));
    const std::size_t user_end = host.rfind('@');
    if (user_end == npos) {
      // A password may hold what ends an address.
      const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
      const std::size_t colon = word.find(':');
      const std::size_t sign = word.find('@');
      if (colon != npos && sign != npos && colon < sign &&
          word.substr(0, colon).find('/') == npos &&
          !is_digit(word[std::min(colon + 1, word.size() - 1)])) {
        return true;
      }
      continue;
    }
    const bool password = host.substr(0, user_end).find(':') != npos;
    const bool web =
        at >= 4 && (line.substr(0, at).ends_with("http") || line.substr(0, at).ends_with("https"));
    if (password || web) {
      return true;
    }
  }
  return false;
}

// Names whose values are secrets, in whatever style they are written: API_KEY, api-key, apiKey.
constexpr std::string_view kSecretNames[] = {
    "password",  "passwd",     "passphrase",  "passcode",   "secret",
    "token",     "apikey",     "api_key",     "accesskey",  "access_key",
    "secretkey", "privatekey", "private_key", "credential", "authkey",
    "auth_key",  "pgpass",     "sshpass",     "mysql_pwd",  "connection_string",
    "bearer",    "cookie",     "session_id",
};
constexpr std::string_view kSecretEndings[] = {"_key", "_pass", "_pwd", "_pat",
                                               "_dsn", "_pw",   "_otp"};
constexpr std::string_view kSecretWords[] = {"pass", "pwd", "pw", "otp", "dsn", "auth"};
constexpr std::string_view kHarmlessNames[] = {"tokeniz", "secretar", "passwordless"};

bool is_secret_name(std::string_view name) {
  std::string lower = sources::to_lower(name);
  std::replace(lower.begin(), lower.end(), '-', '_');
  std::replace(lower.begin(), lower.end(), '.', '_');
  lower.erase(0, std::min(lower.find_first_not_of('_'), lower.size()));
  const auto holds = [&](std::string_view known) { return lower.find(known) != npos; };
  const auto ends = [&](std::string_view known) { return lower.ends_with(known); };
  const auto is = [&](std::string_view known) { return lower == known; };
  if (std::any_of(std::begin(kHarmlessNames), std::end(kHarmlessNames), holds)) {
    return false;
  }
  return std::any_of(std::begin(kSecretNames), std::end(kSecretNames), holds) ||
         std::any_of(std::begin(kSecretEndings), std::end(kSecretEndings), ends) ||
         std::any_of(std::begin(kSecretWords), std::end(kSecretWords), is);
}

// NAME=value, name: value, "name": "value" anywhere in the line.
bool has_assignment(std::string_view line) {
  for (std::size_t at = line.find_first_of("=:"); at != npos;
       at = line.find_first_of("=:", at + 1)) {
    std::size_t end = at;
    while (end > 0 && (line[end - 1] == '"' || line[end - 1] == '\'' || line[end - 1] == ' ')) {
      --end;
    }
    std::size_t begin = end;
    while (begin > 0 && (is_word(line[begin - 1]) || line[begin - 1] == '.')) {
      --begin;
    }
    std::string_view value = line.substr(at + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \"'"), value.size()));
    // A shell assigns without a blank; "word :" and "a == b" are something else.
    const bool plain = line[at] == ':' || end == at || end + 1 == at;
    if (begin < end && plain && !value.empty() && value.front() != '=' &&
        is_secret_name(line.substr(begin, end - begin))) {
      return true;
    }
  }
  return false;
}

bool has_header(std::string_view line) {
  const std::string lower = sources::to_lower(line);
  for (const std::string_view name :
       {"authorization:", "x-api-key:", "x-auth-token:", "private-token:", "cookie:",
        "proxy-authorization:", "x-vault-token:", "job-token:", "bearer "}) {
    if (lower.find(name) != npos) {
      return true;
    }
  }
  return false;
}

bool has_key_block(std::string_view line) {
  return line.find("-----BEGIN") != npos || line.find("PRIVATE KEY") != npos ||
         line.find("ssh-rsa AAAA") != npos || line.find("PuTTY-User-Key-File") != npos;
}

// Options that take a secret, of the commands that have such options.
struct Taker {
  std::string_view commands;  // names, a blank before and after each
  std::string_view options;   // letters: "-p secret", "-psecret"
  bool only_attached = false;
  std::string_view verb = {};  // only where this word follows
};
constexpr Taker kTakers[] = {
    {" mysql mysqldump mysqladmin mysqlimport mysqlshow mariadb mariadb-dump mysqlsh ", "p"},
    {" mongo mongosh mongodump mongorestore mongoexport mongoimport ", "p"},
    {" sshpass ", "p"},
    {" docker podman nerdctl helm buildah skopeo crane az oc ", "p", false, "login"},
    {" curl ", "uUb"},
    {" http https xh ", "a"},
    {" redis-cli ", "a"},
    {" ldapsearch ldapmodify ldapadd ldapdelete ldappasswd ldapwhoami ", "w"},
    {" smbclient smbget rpcclient net ", "U"},
    {" zip unzip zipcloak ", "P"},
    {" 7z 7za 7zr rar unrar ", "p", true},
    {" htpasswd ", "b"},
    {" sqlcmd bcp ", "P"},
    {" cqlsh influx nxc crackmapexec ", "p"},
    {" ipmitool ", "P"},
    {" snmpwalk snmpget ", "AXc"},
    {" xfreerdp rdesktop ", "p"},
    {" openssl ", "kK"},
    {" security ", "wp"},
    {" lftp ncftp ", "u"},
};

// Commands whose plain arguments are secrets already.
constexpr std::string_view kAlways =
    " sshpass chpasswd wpa_passphrase mkpasswd secret-tool htdigest ";

bool listed(std::string_view list, std::string_view name) {
  const std::string padded = " " + std::string(name) + " ";
  return !name.empty() && list.find(padded) != npos;
}

bool takes_secret(const Taker &taker, const Plain &command) {
  const bool verb =
      taker.verb.empty() || std::any_of(command.words.begin(), command.words.end(),
                                        [&](const Word &word) { return word.chars == taker.verb; });
  if (!verb) {
    return false;
  }
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string &word = command.words[i].chars;
    if (word.size() < 2 || word[0] != '-' || word[1] == '-' ||
        taker.options.find(word[1]) == npos) {
      continue;
    }
    const bool next = !taker.only_attached && word.size() == 2 && i + 1 < command.words.size() &&
                      !command.words[i + 1].chars.starts_with("-");
    if (word.size() > 2 || next) {
      return true;
    }
  }
  return false;
}

// --password secret, -token secret; `set -x API_KEY secret` of fish, `setenv` of csh.
bool names_secret(const Plain &command) {
  for (std::size_t i = 0; i + 1 < command.words.size(); ++i) {
    const std::string &word = command.words[i].chars;
    const std::string &next = command.words[i + 1].chars;
    const bool option = word.size() > 2 && word[0] == '-' && is_secret_name(word);
    const bool variable = (command.name == "set" || command.name == "setenv" ||
                           command.name == "config" || command.name == "configure") &&
                          i > 0 && is_secret_name(word);
    // "aws configure set aws_secret_access_key ..." and the like: a name with an underscore.
    const std::string_view name = std::string_view(word).substr(word.rfind(':') + 1);
    const bool setting = i > 1 && name.find('_') != npos && name.find('/') == npos &&
                         name[0] != '-' && is_secret_name(name);
    if ((option && !next.starts_with("-")) || variable || setting) {
      return true;
    }
  }
  return false;
}

// curl --user a:b, --proxy-user a:b; http -a; psql "user=x password=y" is an assignment.
bool gives_user(const Plain &command) {
  if (command.name != "curl" && command.name != "wget") {
    return false;
  }
  return std::any_of(command.words.begin(), command.words.end(), [](const Word &word) {
    return word.chars.starts_with("--user") || word.chars.starts_with("--proxy-user") ||
           word.chars.starts_with("--http-user") || word.chars.starts_with("--ftp-user");
  });
}

// `echo hunter2 | sudo -S ...`, `| passwd --stdin`, `| docker login --password-stdin`.
bool pipes_secret(const std::vector<Command> &commands) {
  for (const Command &command : commands) {
    for (const Word &word : command.words) {
      if (command.piped && (word.chars == "--stdin" || word.chars == "--password-stdin" ||
                            word.chars == "--with-token" || word.chars == "--passphrase-fd")) {
        return true;
      }
    }
    const bool sudo = command.piped && !command.words.empty() && command.words[0].chars == "sudo";
    if (sudo && command.words.size() > 1 && command.words[1].chars.starts_with("-S")) {
      return true;
    }
  }
  return false;
}

std::string_view secret_of(const Command &command, int depth) {
  const Plain words = plain(command);
  const std::string_view first =
      command.words.empty() ? std::string_view() : std::string_view(command.words[0].chars);
  if (listed(kAlways, words.name) || listed(kAlways, first.substr(first.rfind('/') + 1))) {
    return kPassword;
  }
  for (const Taker &taker : kTakers) {
    if (listed(taker.commands, words.name) && takes_secret(taker, words)) {
      return kPassword;
    }
  }
  if (gives_user(words) || names_secret(words)) {
    return kPassword;
  }
  if ((words.name == "vault" || words.name == "op" || words.name == "bw") &&
      words.words.size() > 2) {
    return kPassword;
  }
  constexpr int kDeepest = 8;
  for (const Word &word : command.words) {
    std::vector<Command> script;  // sh -c 'mysql ...'
    if (depth < kDeepest && word.chars.find(' ') != npos && !parse(whole(word.chars), script)) {
      return kPassword;
    }
    script.insert(script.end(), word.inside.begin(), word.inside.end());
    for (const Command &inner : script) {
      const std::string_view found = depth < kDeepest ? secret_of(inner, depth + 1) : kPassword;
      if (!found.empty()) {
        return found;
      }
    }
  }
  return {};
}

}  // namespace

std::string_view find_secret(std::string_view line) {
  if (line.size() > kLongestLine) {
    return kToken;
  }
  if (has_key_block(line)) {
    return kKey;
  }
  if (has_header(line)) {
    return kHeader;
  }
  if (has_credentials_in_address(line)) {
    return kAddress;
  }
  if (has_known_token(line) || has_random_run(line) || has_robot_token(line)) {
    return kToken;
  }
  if (has_assignment(line)) {
    return kPassword;
  }
  std::vector<Command> commands;
  if (!parse(whole(line), commands)) {
    return kPassword;
  }
  if (pipes_secret(commands)) {
    return kPassword;
  }
  for (const Command &command : commands) {
    const std::string_view found = secret_of(command, 0);
    if (!found.empty()) {
      return found;
    }
  }
  return {};
}

}  // namespace calm::shell
