// Matrices that a product multiplies by, in the order its kernel reads them: panels of up to 64
// columns, each all rows of the sum after another ([k][width], the width rounded up to 4 with
// zeros). Vectors may reach into the next row, or the 64 bytes behind the last.
#pragma once

#include <calm/ops/matmul.h>

#include <compare>
#include <cstddef>
#include <cstdint>

#include "onednn/kernel.hpp"

namespace calm::onednn {

/// How packed weights are kept. bf16 and int8 halve and quarter the bytes a decode step reads; sums
/// stay fp32. int8: symmetric, a scale a column of the product.
enum class WeightType : std::uint32_t { kF32, kBf16, kInt8 };

inline constexpr std::size_t kPanel = 64;  ///< columns
inline constexpr std::size_t kUnit = 4;    ///< what a panel's width is a multiple of
inline constexpr std::size_t kSlack = 64;  ///< bytes
/// bf16: rows 2 i and 2 i + 1 of a panel lie side by side, column by column.
inline constexpr std::size_t kBf16Depth = 2;

/// op(b) is [k, n]; `transposed`: stored [n, k].
struct PackShape {
  std::size_t k = 0, n = 0;
  bool transposed = false;
  WeightType type = WeightType::kF32;
  bool onednn = false;  ///< in oneDNN's layout, not in panels

  auto operator<=>(const PackShape &) const = default;
  /// Columns with the zeros behind the last.
  std::size_t padded() const { return (n + kUnit - 1) / kUnit * kUnit; }
  /// Of the packed matrix, with the scales of int8 in front.
  std::size_t bytes() const;
  std::size_t scale_bytes() const {
    return type == WeightType::kInt8 ? (padded() * sizeof(float) + kSlack + 63) / 64 * 64 : 0;
  }
};

/// Packs columns [first, last) of op(b), first a multiple of kPanel.
void pack(const PackShape &shape, const float *b, std::size_t first, std::size_t last,
          std::byte *packed);

/// The kernels of a product by a packed matrix (node: matmul, b's operand is the packed one), and
/// of a sum over rows (transpose_a). Null: leave it to the reference's loops.
const Kernel *matmul_kernel(const Node &node, WeightType type);
inline PackShape pack_shape(const Node &node) {
  const bool transposed = node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 != 0;
  return {node.extent(CALM_MATMUL_B, transposed ? 1 : 0),
          node.extent(CALM_MATMUL_B, transposed ? 0 : 1), transposed, WeightType::kF32};
}

}  // namespace calm::onednn
