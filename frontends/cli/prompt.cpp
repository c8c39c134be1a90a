#include "frontends/cli/prompt.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/text/field_input.hpp"
#include "core/text/inline_pattern.hpp"

namespace calm::cli {

namespace {

constexpr std::size_t kMaxInputBytes = std::size_t{64} << 20;

constexpr int kAskEvery = 100;  // ms between two looks at `cancelled`

// A signal would only be remembered inside read, and inside a poll that it comes just before.
void await_input(const std::function<bool()> &cancelled) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&input, 1, kAskEvery);
    if (ready > 0 || (ready < 0 && errno != EINTR)) {
      return;  // an error is told by the read
    }
    if (cancelled && cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while waiting for standard input");
    }
  }
}

}  // namespace

std::string read_standard_input(const std::function<bool()> &cancelled) {
  std::string all;
  std::vector<char> piece(65536);
  for (;;) {
    await_input(cancelled);
    const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (n < 0 && errno != EINTR) {
      throw Error(CALM_IO, std::string("standard input: cannot read: ") + std::strerror(errno));
    }
    if (n == 0) {
      return all;
    }
    all.append(piece.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (all.size() > kMaxInputBytes) {
      throw Error(CALM_INVALID_ARGUMENT,
                  fmt::format("standard input: expected at most {} bytes", kMaxInputBytes));
    }
  }
}

std::vector<text::Token> make_prompt(const run::LoadedModel &loaded, const std::string &path,
                                     const std::string &input, bool raw) {
  if (input.empty()) {
    throw Error(CALM_FAILED, "the prompt is empty");
  }
  if (raw) {
    return text::parse_inline(input);
  }
  const std::string &spec = loaded.metadata.template_spec;
  try {
    return text::input_sequence(spec, input, loaded.model->l_max());
  } catch (const Error &e) {
    // The user did not write the template.
    throw Error(CALM_CORRUPT_DATA, fmt::format("{}: template: {}", path, e.what()));
  }
}

std::string render(const Rendering &how, std::span<const text::Token> prompt,
                   std::span<const text::Token> generated) {
  std::vector<text::Token> ids;
  if (how.full) {
    ids.assign(prompt.begin(), prompt.end());
  }
  ids.insert(ids.end(), generated.begin(), generated.end());
  if (how.raw_bytes) {
    return text::decode(ids);
  }
  return how.specials ? text::decode_with_specials(ids) : text::decode_str(ids);
}

}  // namespace calm::cli
