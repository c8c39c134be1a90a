#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/run/model_file.hpp"
#include "core/text/tokenizer.hpp"

// What `calm generate` and calm-inference share: a text becomes a prompt, tokens become a text.
namespace calm::cli {

inline constexpr std::int64_t kMaxCandidates = 1024;
inline constexpr std::int64_t kFewSequences = 16;  // cli.md: below, decoding prefers the CPU

/// Standard input to its end, bytes as they come (spec N.3), at most 64 MiB. While it waits for
/// more, `cancelled` may end it: CALM_CANCELLED.
std::string read_standard_input(const std::function<bool()> &cancelled = {});

/// What the model continues: `input` with the model's template, or as inline patterns (A.11) when
/// `raw`. CALM_FAILED for an empty prompt, CALM_CORRUPT_DATA naming `path` for a bad template.
std::vector<text::Token> make_prompt(const run::LoadedModel &loaded, const std::string &path,
                                     const std::string &input, bool raw);

/// How tokens are shown.
struct Rendering {
  bool full = false;      ///< the prompt in front
  bool specials = false;  ///< special tokens by name
  bool raw_bytes = false;
};

std::string render(const Rendering &how, std::span<const text::Token> prompt,
                   std::span<const text::Token> generated);

}  // namespace calm::cli
