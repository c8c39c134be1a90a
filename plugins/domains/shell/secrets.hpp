#pragma once

#include <string_view>

namespace calm::shell {

/// Why a command line may hold something that is nobody else's business: "token", "password",
/// "key", "credentials in an address", "header"; empty when nothing in it looks so. Errs on the
/// side of dropping a line: what is learnt from a history is offered to whoever types. Any bytes,
/// any length; a line too long to judge counts as holding a secret.
std::string_view find_secret(std::string_view line);

}  // namespace calm::shell
