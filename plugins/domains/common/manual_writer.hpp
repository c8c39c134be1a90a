#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <common/manual.hpp>

namespace calm::sources::roff {

/// Puts a manual together from what its macros say, in the order they say it.
class ManualWriter {
 public:
  void title(std::string_view name, std::string_view section);
  void heading(std::string_view text);
  void subheading(std::string_view text);
  /// Plain text, escapes done: joined to what stands before it, or a line of code.
  void text(std::string_view words);
  /// .br: the next text begins a line of its own.
  void line_break();
  void paragraph();
  /// A new item; what follows explains it.
  void item(std::string_view tag);
  /// Another name of the item before (.TQ).
  void also(std::string_view tag);
  /// .RS: a short paragraph just before it is the tag of what follows.
  void indent();
  void code(bool on);

  bool in_code() const { return code_; }
  /// Whether the text of the paragraph before is still open.
  bool has_title() const { return titled_; }
  Manual finish();

 private:
  void flush();
  ManualSection &section();

  Manual manual_;
  ManualBlock block_;
  bool titled_ = false, code_ = false, break_ = false;
};

}  // namespace calm::sources::roff
