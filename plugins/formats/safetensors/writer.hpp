#pragma once

#include <calm/cpp/format.hpp>

namespace calm::safetensors {

// Tensors in the given order, fields (texts only) as `__metadata__`; the header is padded with
// spaces to a multiple of 8. The same document gives the same bytes. INVALID_ARGUMENT before the
// first byte.
void write(const DocumentView &document, const Output &output);

}  // namespace calm::safetensors
