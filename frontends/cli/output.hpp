#pragma once

#include <cstdio>
#include <exception>
#include <string_view>

#include <nlohmann/json.hpp>

namespace calm::cli {

/// Objects keep the order their keys were added in.
using Json = nlohmann::ordered_json;

/// --color
enum class Color { kAuto, kAlways, kNever };

/// Whether our own colours belong on a stream: NO_COLOR and TERM=dumb are honoured.
bool colored(std::FILE *stream, Color color);
bool is_terminal(std::FILE *stream);

/// Thrown where the reader of standard output has gone: no failure, but the end of the work.
struct ReaderGone : std::exception {
  const char *what() const noexcept override { return "the reader of standard output has gone"; }
};

/// Results on standard output. Every failure but ReaderGone is Error(CALM_IO): a full disk is no
/// success.
class Output {
 public:
  bool terminal() const { return is_terminal(stdout); }
  /// Text of ours, as it is.
  void write(std::string_view text);
  void line(std::string_view text);
  /// Text from outside (models, files): escaped on a terminal, as it is elsewhere.
  void untrusted(std::string_view text);
  /// One line; with `indent` spread over many. ASCII only on a terminal.
  void json(const Json &value, bool indent = false);
  void flush();
};

}  // namespace calm::cli
