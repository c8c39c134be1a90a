#pragma once

#include <string_view>

namespace calm::shell {

/// Whether values of that name are secrets, in whatever style it is written: API_KEY, --api-key,
/// apiKey, user.password.
bool is_secret_name(std::string_view name);

}  // namespace calm::shell
