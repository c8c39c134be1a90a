#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace calm::netref {

/// A text without its pages.
struct Unpaged {
  std::vector<std::string_view> lines;  ///< of the text they were taken from
  std::string title;                    ///< of the headers: "RFC 1918 Address Allocation ..."
  bool paged = false;                   ///< whether there were pages
};

/// Takes form feeds and the headers and footers of RFC pages out of a text, and closes the
/// paragraphs they stood in.
Unpaged without_pages(std::string_view text);

}  // namespace calm::netref
