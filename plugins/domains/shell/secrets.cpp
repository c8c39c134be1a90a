#include "secrets.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include <common/plain.hpp>

#include "parser.hpp"
#include "secret_commands.hpp"
#include "secret_names.hpp"

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

// user:password@host without a scheme. An image's name:tag@sha256:... and npm:name@1 are none.
bool has_user_and_password(std::string_view line) {
  for (std::size_t sign = line.find('@'); sign != npos; sign = line.find('@', sign + 1)) {
    const std::size_t before = sign == 0 ? npos : line.find_last_of(" \t\"'`=/,;|&<>()@", sign - 1);
    const std::size_t begin = before == npos ? 0 : before + 1;
    const std::string_view user = line.substr(begin, sign - begin);
    const std::string_view host = line.substr(sign + 1);
    const std::size_t colon = user.find(':');
    const std::string_view name = user.substr(0, std::min(colon, user.size()));
    if (colon != npos && colon > 0 && colon + 1 < user.size() && !host.empty() &&
        is_alnum(host[0]) && !host.starts_with("sha256:") && name != "npm" && name != "jsr") {
      return true;
    }
  }
  return false;
}

// Addresses that open by being known.
bool has_secret_address(std::string_view line) {
  constexpr std::string_view kAddresses[] = {"hooks.slack.com/", "/api/webhooks/",
                                             "webhook.office.com/", "api.telegram.org/bot"};
  return std::any_of(std::begin(kAddresses), std::end(kAddresses),
                     [&](std::string_view address) { return line.find(address) != npos; });
}

// Names that say little on their own, but much in an address, a list or a shell's variable.
bool is_short_secret_name(std::string_view name, char before) {
  const auto is = [&](std::string_view known) { return name == known; };
  const std::string_view parameters[] = {"key", "sig", "signature", "code"};
  const std::string_view variables[] = {"KEY", "PIN", "MFA", "TOTP"};
  return ((before == '?' || before == '&' || before == '=') &&
          std::any_of(std::begin(parameters), std::end(parameters), is)) ||
         std::any_of(std::begin(variables), std::end(variables), is);
}

// NAME=value, name: value, "name": "value", x['name']='value' anywhere in the line.
bool has_assignment(std::string_view line) {
  for (std::size_t at = line.find_first_of("=:"); at != npos;
       at = line.find_first_of("=:", at + 1)) {
    std::size_t end = at;
    std::size_t blanks = 0;
    while (end > 0 && std::string_view("\"' ]").find(line[end - 1]) != npos) {
      blanks += line[--end] == ' ' ? 1U : 0U;
    }
    std::size_t begin = end;
    while (begin > 0 && (is_word(line[begin - 1]) || line[begin - 1] == '.')) {
      --begin;
    }
    std::string_view value = line.substr(at + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \"'"), value.size()));
    // A shell assigns without a blank; "word :" and "a == b" are something else.
    const bool plain = line[at] == ':' || blanks < 2;
    if (begin == end || !plain || value.empty() || value.front() == '=') {
      continue;
    }
    const std::string_view name = line.substr(begin, end - begin);
    const char before = begin > 0 ? line[begin - 1] : ' ';
    if (is_secret_name(name) || (line[at] == '=' && is_short_secret_name(name, before))) {
      return true;
    }
  }
  return false;
}

// SQL that sets a password, and the lines of a .netrc.
bool has_password_clause(std::string_view line) {
  const std::string lower = sources::to_lower(line);
  if (lower.find("identified by ") != npos ||
      (lower.find("login ") != npos && lower.find("password ") != npos)) {
    return true;
  }
  constexpr std::string_view kWord = "password";
  for (std::size_t at = lower.find(kWord); at != npos; at = lower.find(kWord, at + 1)) {
    const std::string_view rest = std::string_view(lower).substr(at + kWord.size());
    const std::size_t value = rest.find_first_not_of(" =(");
    if (value != npos && value > 0 && value + 1 < rest.size() &&
        std::string_view("'\"\\").find(rest[value]) != npos && rest[value + 1] != ' ') {
      return true;
    }
  }
  return lower.find("pragma key") != npos;
}

bool has_header(std::string_view line) {
  const std::string lower = sources::to_lower(line);
  for (const std::string_view name :
       {"authorization:", "x-api-key:", "x-auth-token:", "private-token:", "cookie:",
        "proxy-authorization:", "x-vault-token:", "x-auth:", "job-token:", "bearer "}) {
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
  if (has_credentials_in_address(line) || has_user_and_password(line) || has_secret_address(line)) {
    return kAddress;
  }
  if (has_known_token(line) || has_random_run(line) || has_robot_token(line)) {
    return kToken;
  }
  if (has_assignment(line) || has_password_clause(line)) {
    return kPassword;
  }
  std::vector<Command> commands;
  if (!parse(whole(line), commands)) {
    return kPassword;
  }
  const bool here = line.find("<<<") != npos;
  return gives_secret(commands, here) ? kPassword : std::string_view();
}

}  // namespace calm::shell
