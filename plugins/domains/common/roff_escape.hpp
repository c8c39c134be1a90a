#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace calm::sources::roff {

/// Turns the escapes of roff into text: fonts and sizes vanish, characters become UTF-8, strings
/// (.ds) what they were set to.
class Escapes {
 public:
  /// .ds; values are cut at a length no name of a trademark has.
  void define(std::string_view name, std::string_view value);
  std::string expand(std::string_view text) const { return expand(text, 0); }

 private:
  std::string expand(std::string_view text, int depth) const;

  std::map<std::string, std::string, std::less<>> strings_;
};

/// `line` up to a comment (\" or \#).
std::string_view without_comment(std::string_view line);

/// The arguments of a request, quotes taken off, escapes as they are.
std::vector<std::string> split_arguments(std::string_view text);

}  // namespace calm::sources::roff
