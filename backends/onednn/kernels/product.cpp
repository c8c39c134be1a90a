// Products by oneDNN's primitives (products.hpp): rows go in as they lie, or are copied, to bf16
// when the primitive wants it, so that what it reads has no gaps and a number of rows it was
// compiled for.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/product.cpp"
#include "onednn/simd.hpp"
// After simd.hpp.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <calm/ops/matmul.h>

#include <algorithm>
#include <cstring>

#include "onednn/products.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Rounds to the nearest bf16, ties to even; NaN stays NaN.
HWY_INLINE void to_bf16(const float *from, std::size_t n, std::uint16_t *to) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  const hn::RebindToSigned<decltype(d)> i32;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  constexpr std::size_t kLanes = HWY_LANES(float);
  const auto convert = [&](hn::Vec<decltype(d)> x) HWY_ATTR {
    const auto bits = hn::BitCast(d32, x);
    const auto high = hn::ShiftRight<16>(bits);
    const auto round = hn::Add(hn::And(high, hn::Set(d32, 1U)), hn::Set(d32, 0x7fffU));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, round));
    const auto nan = hn::Or(high, hn::Set(d32, 0x40U));
    const auto result = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(x)), nan, rounded);
    return hn::DemoteTo(d16, hn::BitCast(i32, result));
  };
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(convert(hn::LoadU(d, from + i)), d16, to + i);
  }
  if (i < n) {
    HWY_ALIGN float last[kLanes] = {};
    HWY_ALIGN std::uint16_t halves[kLanes];
    std::copy(from + i, from + n, last);
    hn::Store(convert(hn::Load(d, last)), d16, halves);
    std::copy(halves, halves + (n - i), to + i);
  }
}

/// Copies rows of `n` elements, and zeros up to `padded` rows.
void copy_rows(const Operand &from, std::size_t begin, std::size_t rows, std::size_t padded,
               std::size_t n, bool bf16, std::byte *to) {
  const std::size_t bytes = n * (bf16 ? sizeof(std::uint16_t) : sizeof(float));
  for (std::size_t r = 0; r < rows; ++r) {
    const auto *const row = from.at<const float>(begin + r);
    if (bf16) {
      to_bf16(row, n, reinterpret_cast<std::uint16_t *>(to + r * bytes));
    } else {
      std::memcpy(to + r * bytes, row, bytes);
    }
  }
  std::memset(to + rows * bytes, 0, (padded - rows) * bytes);
}

/// Rows as the primitive reads them: in place when they can be.
const void *rows_of(const Operand &from, std::size_t begin, std::size_t rows, std::size_t padded,
                    std::size_t n, bool bf16, std::byte *copy) {
  if (!bf16 && rows == padded && from.stride == n) {
    return from.at<const float>(begin);
  }
  copy_rows(from, begin, rows, padded, n, bf16, copy);
  return copy;
}

std::size_t padded_rows(std::size_t rows) {
  return (rows + kProductRows - 1) / kProductRows * kProductRows;
}

void product_by_matrix(const Call &call) {
  const ProductRun &run = *call.product;
  const ProductSpec &spec = run.product->spec;
  const Operand &out = call.outs[0];
  for (std::size_t begin = call.begin; begin < call.end; begin += kChunk) {
    const std::size_t rows = std::min(kChunk, call.end - begin);
    const std::size_t padded = padded_rows(rows);
    const void *const in =
        rows_of(call.ins[CALM_MATMUL_A], begin, rows, padded, spec.k, spec.bf16, call.scratch);
    BoundProduct &product = *run.sizes[padded / kProductRows - 1];
    if (rows == padded && out.stride == spec.n) {
      product.run(in, nullptr, out.at(begin));
      continue;
    }
    auto *const copy = reinterpret_cast<float *>(call.scratch + run.product->out_at());
    product.run(in, nullptr, copy);
    for (std::size_t r = 0; r < rows; ++r) {
      std::memcpy(out.at(begin + r), copy + r * spec.n, spec.n * sizeof(float));
    }
  }
}

void product_over_rows(const Call &call) {
  const ProductRun &run = *call.product;
  const ProductSpec &spec = run.product->spec;
  for (std::size_t begin = call.begin; begin < call.end; begin += kChunk) {
    const std::size_t rows = std::min(kChunk, call.end - begin);
    const std::size_t padded = padded_rows(rows);
    const void *const a =
        rows_of(call.ins[CALM_MATMUL_A], begin, rows, padded, spec.k, spec.bf16, call.scratch);
    const void *const b = rows_of(call.ins[CALM_MATMUL_B], begin, rows, padded, spec.n, spec.bf16,
                                  call.scratch + run.product->b_at());
    run.sizes[padded / kProductRows - 1]->run(a, b, call.outs[0].at(0));
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kByMatrix = CALM_VARIANTS(product_by_matrix);
constexpr Variants kOverRows = CALM_VARIANTS(product_over_rows);
const Kernel kProduct = {
    .op = CALM_OP_MATMUL, .signature = "r[T,K] r[C,D] | bb -> r[T,N]", .run = kByMatrix};
const Kernel kSum = {
    .op = CALM_OP_MATMUL, .signature = "r[T,M] r[T,N] | bb -> r[M,N]", .run = kOverRows, .sums = 1};

}  // namespace

const Kernel *product_kernel(const Node &node) {
  return node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0 ? &kSum : &kProduct;
}

}  // namespace calm::onednn
#endif
