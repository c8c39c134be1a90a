#include "frontends/cli/output.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"

namespace calm::cli {

namespace {

[[noreturn]] void refuse(int number) {
  if (number == EPIPE) {
    throw ReaderGone();
  }
  throw Error(CALM_IO, std::string("standard output: cannot write: ") + std::strerror(number));
}

}  // namespace

bool is_terminal(std::FILE *stream) { return ::isatty(::fileno(stream)) == 1; }

bool colored(std::FILE *stream, Color color) {
  if (color != Color::kAuto) {
    return color == Color::kAlways;
  }
  const char *no_color = std::getenv("NO_COLOR");
  const char *term = std::getenv("TERM");
  return is_terminal(stream) && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::strcmp(term, "dumb") != 0);
}

void Output::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    refuse(errno);
  }
}

void Output::line(std::string_view text) {
  write(text);
  write("\n");
}

void Output::untrusted(std::string_view text) {
  if (terminal()) {
    write(text::printable(text));
  } else {
    write(text);
  }
}

void Output::json(const Json &value, bool indent) {
  line(value.dump(indent ? 2 : -1, ' ', terminal(), Json::error_handler_t::replace));
}

void Output::flush() {
  if (std::fflush(stdout) != 0) {
    refuse(errno);
  }
}

}  // namespace calm::cli
