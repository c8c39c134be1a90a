#pragma once

#include <calm/domain.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/template.hpp"
#include "core/text/tokenizer.hpp"

// Completion of what somebody types: the situation, by the domain, and candidates fit to be
// offered.
namespace calm::generate {

/// What the domain says of folder `cwd` (absolute), as options for `layout`: fields of lists are
/// collected in order, a subtoken's field belongs to the list item before it. A domain that cannot
/// say, or fails to, gives none; the failure is logged.
text::OptionMap gather_options(const calm_domain &domain, const calm_host *host,
                               const text::Template &layout, std::string_view cwd);

/// The prompt for `typed` in that situation, with room for `max_tokens` more within the model's
/// l_max: first lists lose their oldest items, then whole fields go. CALM_CORRUPT_DATA when the
/// template of the model is none; a model without one reads `typed` alone.
std::vector<text::Token> completion_prompt(const run::LoadedModel &loaded,
                                           const calm_domain &domain, const calm_host *host,
                                           std::string_view cwd, std::string_view typed,
                                           std::int64_t max_tokens);

struct Completion {
  std::string suffix;  ///< to be put behind what was typed; printable, without blanks at its end
  double score = 0;    ///< spec D.2; the highest of the candidates that agreed on it
};

/// The candidates that may be offered after `typed`, best first, each once: up to the first special
/// token, not empty, nothing a terminal must not see in line and suffix, and let through by the
/// filter of the domain.
std::vector<Completion> offer(const calm_domain &domain, std::string_view typed,
                              std::span<const Candidate> candidates);

}  // namespace calm::generate
