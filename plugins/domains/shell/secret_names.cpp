#include "secret_names.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include <common/plain.hpp>

namespace calm::shell {
namespace {

constexpr std::string_view kAnywhere[] = {
    "password",  "passwd",     "passphrase",  "passcode",    "secret",
    "token",     "apikey",     "api_key",     "accesskey",   "access_key",
    "secretkey", "privatekey", "private_key", "credential",  "authkey",
    "auth_key",  "pgpass",     "sshpass",     "mysql_pwd",   "connection_string",
    "bearer",    "cookie",     "session_id",  "requirepass", "masterauth",
    "webhook",   "http_basic", "oauth",
};
constexpr std::string_view kEndings[] = {"pass", "_key", "_pwd", "_pat",  "_dsn",
                                         "_pw",  "_otp", "_psk", "_auth", "creds"};
constexpr std::string_view kWholeNames[] = {"pwd", "pw", "upw", "opw", "otp", "dsn", "psk", "auth"};
constexpr std::string_view kHarmless[] = {
    "tokeniz", "secretar", "passwordless", "credential_helper", "bypass", "compass", "surpass"};

}  // namespace

bool is_secret_name(std::string_view name) {
  std::string lower = sources::to_lower(name);
  std::replace(lower.begin(), lower.end(), '-', '_');
  std::replace(lower.begin(), lower.end(), '.', '_');
  lower.erase(0, std::min(lower.find_first_not_of('_'), lower.size()));
  const auto holds = [&](std::string_view known) { return lower.find(known) != std::string::npos; };
  const auto ends = [&](std::string_view known) { return lower.ends_with(known); };
  const auto is = [&](std::string_view known) { return lower == known; };
  if (std::any_of(std::begin(kHarmless), std::end(kHarmless), holds)) {
    return false;
  }
  return std::any_of(std::begin(kAnywhere), std::end(kAnywhere), holds) ||
         std::any_of(std::begin(kEndings), std::end(kEndings), ends) ||
         std::any_of(std::begin(kWholeNames), std::end(kWholeNames), is);
}

}  // namespace calm::shell
