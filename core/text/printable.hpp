#pragma once

#include <string>
#include <string_view>

namespace calm::text {

enum class LineFeeds { kKeep, kEscape };

// Text from outside (model output, metadata, names in files, file names), made safe for a terminal:
// nothing in the result can move the cursor, change a colour, reorder or hide text. Bytes and ASCII
// controls are escaped as \xNN, other code points as \u{...}: C0 except line feed, DEL, C1, invalid
// UTF-8, bidirectional and zero-width controls, line separators, tags (promises.md, "Terminal and
// shell"). A tab becomes four spaces. Backslashes stay, so the escaping is not invertible.
// Use LineFeeds::kEscape inside one-line messages. [any]
std::string printable(std::string_view bytes, LineFeeds line_feeds = LineFeeds::kKeep);

}  // namespace calm::text
