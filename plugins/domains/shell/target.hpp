#pragma once

#include <string_view>

namespace calm::shell {

/// What a path operand may turn out to be once the shell has expanded it.
struct Target {
  bool system = false;   ///< the root, one of its folders, a home folder: `/`, `/*`, `/etc`, `~`
  bool here = false;     ///< all of the present folder or of one above it: `.`, `*`, `../..`
  bool unset = false;    ///< the root when a variable is empty: `$DIR/`, `$DIR/*`
  bool globbed = false;  ///< ends in a pattern that matches everything: `*`, `.*`
};

Target classify_target(std::string_view path);

/// A block device or memory, by its name: /dev/sda, /dev/nvme0n1, /dev/mapper/x.
bool is_raw_device(std::string_view path);

}  // namespace calm::shell
