#include "core/base/type_check.hpp"

#include <calm/cpp/value.hpp>

namespace calm {

bool is_type(const calm_type &type) noexcept {
  constexpr std::uint64_t kMostBytes = 1ULL << 47;
  std::uint64_t bytes = dtype_bytes(type.dtype);
  if (bytes == 0 || type.rank > CALM_MAX_RANK) {
    return false;
  }
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    if (type.shape[i] < 0 ||
        __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(type.shape[i]), &bytes) ||
        bytes > kMostBytes) {
      return false;
    }
  }
  return true;
}

}  // namespace calm
