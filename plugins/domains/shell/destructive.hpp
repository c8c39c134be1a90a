#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace calm::shell {

/// Whether running `line` would destroy what cannot be brought back: rm -r on / ~ *, mkfs, dd to a
/// device, chmod -R /, a fork bomb, curl | sh, git push -f, git reset --hard, DROP, kill -9 -1 and
/// their disguises (sudo, quotes, backslashes, sh -c, substitutions). The answer is the length of
/// the shortest beginning of the line that holds every verb that does so; none for a harmless line.
std::optional<std::size_t> destructive(std::string_view line);

}  // namespace calm::shell
