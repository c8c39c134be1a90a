#pragma once

#include <calm/cpp/error.hpp>

#include "core/text/tokenizer.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace calm::text {

enum class InlineErrorKind { kUnknownName, kIdRange, kEmpty };

// What parse_inline throws: CALM_INVALID_ARGUMENT with the kind of A.11.
class InlineError : public Error {
 public:
  InlineError(InlineErrorKind kind, const std::string &message)
      : Error(CALM_INVALID_ARGUMENT, message), kind_(kind) {}
  InlineErrorKind kind() const { return kind_; }

 private:
  InlineErrorKind kind_;
};

// Raw-mode input (A.11): `<NAME>` and `<:ID:>` become tokens, all else its bytes, nothing is added.
// Text that does not match a pattern exactly is literal. The first error in text order is thrown as
// InlineError with its byte offset. [any]
std::vector<Token> parse_inline(std::string_view text);

}  // namespace calm::text
