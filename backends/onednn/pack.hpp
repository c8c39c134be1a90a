// Matrices that a product multiplies by, in the order its kernel reads them: panels of up to 64
// columns (of bf16 128), each all rows of the sum after another ([k][width], the width rounded up
// to 4 with zeros). Vectors may reach into the next row, or the 64 bytes behind the last.
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
/// bf16: rows 2 i and 2 i + 1 of a panel share words, column by column. The lower half is a weight
/// of row 2 i rounded to bf16; the upper one makes of the whole word the float nearest to the
/// weight of row 2 i + 1. So that one is off by half a step of bf16 at most, as if it were rounded,
/// and to take it apart costs nothing.
inline constexpr std::size_t kBf16Depth = 2;
inline constexpr std::size_t kBf16Panel = 128;  ///< columns at most

/// op(b) is [k, n]; `transposed`: stored [n, k].
struct PackShape {
  std::size_t k = 0, n = 0;
  bool transposed = false;
  WeightType type = WeightType::kF32;
  bool onednn = false;  ///< in oneDNN's layout, not in panels

  auto operator<=>(const PackShape &) const = default;
  /// Columns with the zeros behind the last.
  std::size_t padded() const { return (n + kUnit - 1) / kUnit * kUnit; }
  /// Columns of each panel but the last. Those of bf16 are of about the same width.
  std::size_t panel() const {
    if (type != WeightType::kBf16 || n == 0) {
      return kPanel;
    }
    constexpr std::size_t kVector = 16;
    const std::size_t panels = (n + kBf16Panel - 1) / kBf16Panel;
    return (n + panels * kVector - 1) / (panels * kVector) * kVector;
  }
  /// Of the packed matrix, with the scales of int8 in front.
  std::size_t bytes() const;
  std::size_t scale_bytes() const {
    return type == WeightType::kInt8 ? (padded() * sizeof(float) + kSlack + 63) / 64 * 64 : 0;
  }
};

/// Packs columns [first, last) of op(b), first a multiple of panel().
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
