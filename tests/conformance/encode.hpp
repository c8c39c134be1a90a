#pragma once

#include <calm/tensor.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

// Doubles to the bytes of a dtype and back.
namespace calm::conformance {

/// bf16 of a float: the upper half, rounded to nearest even; NaN stays NaN.
inline std::uint16_t to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  }
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<std::uint16_t>(bits >> 16);
}

inline float from_bf16(std::uint16_t value) {
  const std::uint32_t bits = std::uint32_t{value} << 16;
  float out = 0;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

template <class Function>
auto with_dtype(calm_dtype dtype, Function &&function) {
  switch (dtype) {
    case CALM_F32:
      return function(float{});
    case CALM_F64:
      return function(double{});
    case CALM_BF16:
      return function(std::uint16_t{});
    case CALM_I32:
      return function(std::int32_t{});
    case CALM_I64:
      return function(std::int64_t{});
    default:
      throw Error(CALM_INTERNAL, "the harness has no " + std::string(dtype_name(dtype)));
  }
}

inline std::vector<unsigned char> encode(calm_dtype dtype, const std::vector<double> &values) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<unsigned char> bytes(values.size() * sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element = static_cast<T>(0);
      if constexpr (sizeof(T) == 2) {
        element = to_bf16(static_cast<float>(values[i]));
      } else {
        element = static_cast<T>(values[i]);
      }
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
    return bytes;
  });
}

inline std::vector<double> decode(calm_dtype dtype, const std::vector<unsigned char> &bytes) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> values(bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element = static_cast<T>(0);
      std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
      if constexpr (sizeof(T) == 2) {
        values[i] = static_cast<double>(from_bf16(element));
      } else {
        values[i] = static_cast<double>(element);
      }
    }
    return values;
  });
}

}  // namespace calm::conformance
