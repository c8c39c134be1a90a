#include "dtype.hpp"

namespace calm::safetensors {
namespace {

struct Code {
  calm_dtype dtype;
  std::string_view text;
};
constexpr Code kCodes[] = {{CALM_F32, "F32"}, {CALM_F64, "F64"}, {CALM_BF16, "BF16"},
                           {CALM_F16, "F16"}, {CALM_I8, "I8"},   {CALM_U8, "U8"},
                           {CALM_U16, "U16"}, {CALM_I32, "I32"}, {CALM_U32, "U32"},
                           {CALM_I64, "I64"}};

}  // namespace

std::string_view dtype_code(calm_dtype dtype) {
  for (const Code &code : kCodes) {
    if (code.dtype == dtype) {
      return code.text;
    }
  }
  return {};
}

std::optional<calm_dtype> dtype_of(std::string_view text) {
  for (const Code &code : kCodes) {
    if (code.text == text) {
      return code.dtype;
    }
  }
  return std::nullopt;
}

}  // namespace calm::safetensors
