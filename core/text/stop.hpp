#pragma once

#include "core/text/tokenizer.hpp"

#include <string>
#include <string_view>
#include <vector>

// Stop conditions (spec section C). A pattern is the bytes of one piece of the specification. [any]
namespace calm::text {

// C.1: pieces between runs of white space; an empty specification gives none.
std::vector<std::string> parse_stop_conditions(std::string_view spec);

// C.2: whether `next` completes a pattern; the first that matches wins. When a pattern of n > 1
// bytes matches, its n-1 bytes already in `generated` are removed. `next` is never appended: that
// is the caller's part when the answer is false. `generated` holds no prompt tokens.
bool check_stop(std::vector<Token> &generated, Token next,
                const std::vector<std::string> &patterns);

}  // namespace calm::text
