#pragma once

#include <string>
#include <string_view>

namespace calm::sources {

/// UTF-8 with every invalid part replaced. A lone byte that makes sense in Windows-1252 beside what
/// surrounds it becomes that character (a letter in a word, a quotation mark, a degree sign); a run
/// of such letters likewise; anything else becomes U+FFFD, one for each maximal subpart (spec A.5).
std::string repair_utf8(std::string_view bytes);

}  // namespace calm::sources
