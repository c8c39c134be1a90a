#pragma once

#include <calm/tensor.h>

#include <optional>
#include <string_view>

namespace calm::safetensors {

// "F32" and so on; empty for a dtype that safetensors does not know.
std::string_view dtype_code(calm_dtype dtype);
// Empty for a dtype that calm does not hold (BOOL, U64, the 8-bit floats).
std::optional<calm_dtype> dtype_of(std::string_view code);

}  // namespace calm::safetensors
