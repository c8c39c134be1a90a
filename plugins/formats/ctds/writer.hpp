#pragma once

#include <calm/cpp/format.hpp>

namespace calm::ctds {

// Writes the tensors `lengths`, `cmd_pos`, `tokens` (u16, one axis). Needs at least one sequence
// and what the reader demands of each. Fields: vocab_version (default 0); count and max_len are
// computed and may be given, count only if it is right. INVALID_ARGUMENT before the first byte.
void write(const DocumentView &document, const Output &output);

}  // namespace calm::ctds
