#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <common/manual_writer.hpp>
#include <common/roff_escape.hpp>

namespace calm::sources::roff {

/// The mdoc macros (mdoc(7)).
class Mdoc {
 public:
  Mdoc(ManualWriter &writer, Escapes &escapes) : writer_(writer), escapes_(escapes) {}

  /// One request; false when it is none of mdoc's.
  bool request(std::string_view name, const std::vector<std::string> &arguments);

 private:
  struct Line;
  bool structure(std::string_view name, const std::vector<std::string> &arguments);
  bool title(std::string_view name, const std::vector<std::string> &arguments);
  void inline_macro(Line &line, std::string_view name, std::size_t &at);
  std::string inline_text(const std::vector<std::string> &words);
  std::string inline_request(std::string_view name, const std::vector<std::string> &arguments);

  ManualWriter &writer_;
  Escapes &escapes_;
  std::string page_;  // what a bare .Nm stands for
  bool spaced_ = true;
  bool in_synopsis_ = false;
};

}  // namespace calm::sources::roff
