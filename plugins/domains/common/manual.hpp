#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calm::sources {

/// A piece of a section. Text is on one line except where the page breaks it (.br); code keeps its
/// lines and indentation.
struct ManualBlock {
  enum class Kind { kText, kItem, kCode };
  Kind kind = Kind::kText;
  std::string tag;  ///< of an item: "-v, --verbose"
  std::string text;
};

struct ManualSection {
  std::string heading;     ///< "RETURN VALUE"
  std::string subheading;  ///< of .SS; empty before the first
  std::vector<ManualBlock> blocks;
};

/// A manual page without its formatting.
struct Manual {
  std::string name;                ///< of .TH or .Dt: "open", in the letters of the section NAME
  std::string section;             ///< "2"
  std::string description;         ///< what NAME says after the dash
  std::vector<std::string> names;  ///< before the dash
  std::vector<ManualSection> sections;
};

/// Reads roff source that uses the man or mdoc macros; its own macros are skipped, included files
/// (.so) are not followed. Nothing when there is no title line. Any bytes may come in; memory and
/// time are bound by the length of `source`.
std::optional<Manual> parse_manual(std::string_view source);

/// Whether a file called `name` (no folder, no ".gz") is named like a manual page: "open.2".
bool is_manual_name(std::string_view name);

}  // namespace calm::sources
