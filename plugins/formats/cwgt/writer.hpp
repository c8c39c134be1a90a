#pragma once

#include <calm/cpp/format.hpp>

namespace calm::cwgt {

// Writes a CWGT v5 file. Fields as `Reader` names them: the sizes are required, the rest has the
// default 0 or empty; version, vocab_size, param_count and tied may only say what will be written.
// With ewc (or, when that is absent, any `ewc/` tensor) both EWC sets must be complete. Everything
// is checked before the first byte: INVALID_ARGUMENT naming the field or tensor.
void write(const DocumentView &document, const Output &output);

}  // namespace calm::cwgt
