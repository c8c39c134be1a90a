#pragma once

#include "core/text/template.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calm::text {

// B.6: `name:value name:value…` with the given names; a name counts at the start of the text and
// after an ASCII space. nullopt when no name occurs. Of the spaces round a value one separator and
// one trailing space are removed, no more; text before the first name is dropped. [any]
std::optional<std::map<std::string, std::string>> parse_field_input(
    const std::vector<std::string> &names, std::string_view text);

// B.7 and B.8: what the user typed, as the sequence that the model continues. An empty `spec` (a
// model without template) gives BOS and the bytes. `budget` is the model's l_max in tokens.
// Throws Error(CALM_INVALID_ARGUMENT) for a bad specification. [any]
std::vector<Token> input_sequence(std::string_view spec, std::string_view text,
                                  std::int64_t budget);

}  // namespace calm::text
