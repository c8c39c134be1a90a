#pragma once

#include <calm/base.h>
#include <calm/tensor.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <calm/cpp/error.hpp>

namespace calm {

inline calm_value value(std::string_view name, std::int64_t i) {
  return {str(name), CALM_VALUE_I64, 0, i, 0.0, {}};
}
inline calm_value value(std::string_view name, int i) { return value(name, std::int64_t{i}); }
inline calm_value value(std::string_view name, double f) {
  return {str(name), CALM_VALUE_F64, 0, 0, f, {}};
}
inline calm_value value(std::string_view name, bool b) {
  return {str(name), CALM_VALUE_BOOL, 0, b ? 1 : 0, 0.0, {}};
}
inline calm_value value(std::string_view name, std::string_view s) {
  return {str(name), CALM_VALUE_STR, 0, 0, 0.0, str(s)};
}
inline calm_value value(std::string_view name, const char *s) {
  return value(name, std::string_view(s));
}

/// A named scalar with its own text: what outlives the record it came from.
struct OwnedValue {
  std::string name;
  calm_value_type type = CALM_VALUE_NONE;
  std::int64_t i64 = 0;
  double f64 = 0;
  std::string text;
  /// A view of this object.
  calm_value record() const { return {str(name), type, 0, i64, f64, str(text)}; }
};
inline OwnedValue own(const calm_value &v) {
  return {copy(v.name), v.type, v.i64, v.f64, copy(v.str)};
}

/// Schema entries. `min > max` leaves a number unchecked.
constexpr calm_str literal(const char *text) {
  std::uint64_t n = 0;
  while (text[n] != '\0') {
    ++n;
  }
  return {text, n};
}
constexpr calm_value_spec spec_i64(const char *name, std::int64_t fallback, double min = 1,
                                   double max = 0, const char *doc = "") {
  return {literal(name), CALM_VALUE_I64, 0, fallback, 0.0, {}, min, max, literal(doc)};
}
constexpr calm_value_spec spec_f64(const char *name, double fallback, double min = 1,
                                   double max = 0, const char *doc = "") {
  return {literal(name), CALM_VALUE_F64, 0, 0, fallback, {}, min, max, literal(doc)};
}
constexpr calm_value_spec spec_bool(const char *name, bool fallback, const char *doc = "") {
  return {literal(name), CALM_VALUE_BOOL, 0, fallback ? 1 : 0, 0.0, {}, 1, 0, literal(doc)};
}
constexpr calm_value_spec spec_str(const char *name, const char *fallback, const char *doc = "") {
  return {literal(name), CALM_VALUE_STR, 0, 0, 0.0, literal(fallback), 1, 0, literal(doc)};
}
constexpr calm_value_spec required(calm_value_spec spec) {
  spec.required = 1;
  return spec;
}

/// Whether a number is finite and in the range of its schema entry; anything but a number is.
inline bool in_range(const calm_value_spec &spec, const OwnedValue &value) {
  if (value.type != CALM_VALUE_I64 && value.type != CALM_VALUE_F64) {
    return true;
  }
  const double number = value.type == CALM_VALUE_F64 ? value.f64 : static_cast<double>(value.i64);
  if (!(number - number == 0.0)) {  // NaN and the infinities, without <cmath>
    return false;
  }
  return !(spec.min <= spec.max) || (number >= spec.min && number <= spec.max);
}

/// A static type. `axis0` tags what axis 0 counts.
inline calm_type type_of(calm_dtype dtype, std::initializer_list<std::int64_t> shape,
                         calm_axis axis0 = CALM_AXIS_NONE) {
  calm_type type{};
  type.dtype = dtype;
  type.axis0 = axis0;
  for (const std::int64_t extent : shape) {
    type.shape[type.rank++] = extent;
  }
  return type;
}

inline std::int64_t elements(const calm_type &type) {
  std::int64_t n = 1;
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    n *= type.shape[i];
  }
  return n;
}

/// Bytes of one element; 0 for an unknown dtype.
constexpr std::uint64_t dtype_bytes(calm_dtype dtype) {
  switch (dtype) {
    case CALM_F32:
    case CALM_I32:
    case CALM_U32:
      return 4;
    case CALM_F64:
    case CALM_I64:
      return 8;
    case CALM_BF16:
    case CALM_F16:
    case CALM_U16:
      return 2;
    case CALM_I8:
    case CALM_U8:
      return 1;
    default:
      return 0;
  }
}

inline std::uint64_t bytes_of(const calm_type &type) {
  return static_cast<std::uint64_t>(elements(type)) * dtype_bytes(type.dtype);
}

constexpr std::string_view dtype_name(calm_dtype dtype) {
  constexpr std::string_view kNames[] = {"none", "f32", "f64", "bf16", "f16", "i8",
                                         "u8",   "u16", "i32", "u32",  "i64"};
  return dtype < std::size(kNames) ? kNames[dtype] : std::string_view("unknown");
}

/// "f32[6, 64]" for messages.
inline std::string describe(const calm_type &type) {
  std::string text(dtype_name(type.dtype));
  text += '[';
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(type.shape[i]);
  }
  return text + ']';
}

/// A value of a resolved list by name; the name must be there (INTERNAL otherwise).
inline const calm_value &find(std::span<const calm_value> values, std::string_view name) {
  for (const calm_value &v : values) {
    if (view(v.name) == name) {
      return v;
    }
  }
  throw Error(CALM_INTERNAL, "no value named " + std::string(name));
}

}  // namespace calm
