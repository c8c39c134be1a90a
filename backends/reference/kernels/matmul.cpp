// out[m, n] = sum over k of op(a)[m, k] op(b)[k, n]  (calm/ops/matmul.h).
//
// Sums run over k in order, in blocks of 64 in the operands' type; blocks are added up in double.
// So a sum over thousands of rows keeps its digits, and a tile of 4 x 16 sums stays in registers.
// b is copied into panels of 16 columns, so the inner loop reads consecutive numbers whatever is
// transposed and never meets an edge. Fewer than 8 rows are not worth that copy: see dot_rows.
#include <calm/ops/matmul.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>

#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::size_t kCols = 16;
constexpr std::size_t kDepth = 64;
constexpr std::size_t kFewRows = 8;
constexpr std::size_t kShardRows = 32;

/// Sizes and where element (m, k) of op(a) and (k, n) of op(b) lie.
struct Shape {
  std::size_t m, n, k;
  std::size_t a_m, a_k, b_k, b_n;  // strides
  std::size_t panels;              // of 16 columns

  explicit Shape(const Node &node) {
    const bool ta = node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0;
    const bool tb = node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 != 0;
    m = node.extent(CALM_MATMUL_A, ta ? 1 : 0);
    k = node.extent(CALM_MATMUL_A, ta ? 0 : 1);
    n = node.extent(CALM_MATMUL_B, tb ? 0 : 1);
    a_m = ta ? 1 : k;
    a_k = ta ? m : 1;
    b_k = tb ? 1 : n;
    b_n = tb ? k : 1;
    panels = div_up(n, kCols);
  }
  double work() const {
    return static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
  /// Both operands have consecutive k: a row is a dot product.
  bool few_rows() const { return m < kFewRows && a_k == 1 && b_k == 1; }
  /// The sum is over a's rows: long, and b too tall to be copied whole.
  bool tall() const { return a_m == 1 && k > kDepth; }
};

template <class Real, int kLanes>
struct Vector {
  using type
      [[gnu::vector_size(kLanes * sizeof(Real)), gnu::aligned(alignof(Real)), gnu::may_alias]] =
          Real;
};

/// acc[i][j] = sum over k < depth of a[i][k * step] * panel[k * 16 + j]
template <class Real, int kLanes>
CALM_INLINE void multiply_tile(const Real *const (&a)[kRows], std::size_t step, const Real *panel,
                               std::size_t depth, Real (&acc)[kRows][kCols]) {
  using Lanes = typename Vector<Real, kLanes>::type;
  constexpr std::size_t kParts = kCols / kLanes;
  Lanes sum[kRows][kParts] = {};
  for (std::size_t k = 0; k < depth; ++k) {
    Lanes b[kParts];
    for (std::size_t p = 0; p < kParts; ++p) {
      b[p] = *reinterpret_cast<const Lanes *>(panel + k * kCols + p * kLanes);
    }
    for (std::size_t i = 0; i < kRows; ++i) {
      const Real x = a[i][k * step];
      for (std::size_t p = 0; p < kParts; ++p) {
        sum[i][p] += x * b[p];
      }
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t p = 0; p < kParts; ++p) {
      *reinterpret_cast<Lanes *>(&acc[i][p * kLanes]) = sum[i][p];
    }
  }
}

/// sum += acc. They never overlap; saying so makes it vector code.
template <class Real>
CALM_INLINE void add_tile(const Real *__restrict acc, double *__restrict sum) {
  for (std::size_t i = 0; i < kRows * kCols; ++i) {
    sum[i] += static_cast<double>(acc[i]);
  }
}

/// The part of a tile that exists, to rows of `stride` numbers.
template <class Real, class From>
CALM_INLINE void store_tile(const From *__restrict tile, std::size_t rows, std::size_t cols,
                            Real *__restrict out, std::size_t stride) {
  for (std::size_t i = 0; i < rows; ++i) {
    if (cols == kCols) {
      for (std::size_t j = 0; j < kCols; ++j) {
        out[i * stride + j] = static_cast<Real>(tile[i * kCols + j]);
      }
    } else {
      for (std::size_t j = 0; j < cols; ++j) {
        out[i * stride + j] = static_cast<Real>(tile[i * kCols + j]);
      }
    }
  }
}

/// Addresses of op(a)'s rows m .. m + 3 at column k; rows beyond the end repeat the last one.
template <class Real>
CALM_INLINE void tile_rows(const Shape &s, const Real *a, std::size_t m, std::size_t k,
                           const Real *(&rows)[kRows]) {
  for (std::size_t i = 0; i < kRows; ++i) {
    rows[i] = a + std::min(m + i, s.m - 1) * s.a_m + k * s.a_k;
  }
}

/// Copies rows [k, k + depth) of op(b) into panels: panel p holds depth rows of 16 columns from 16
/// p on, zero beyond the last column.
template <class Real>
CALM_INLINE void pack(const Shape &s, const Real *b, std::size_t k, std::size_t depth,
                      Real *panels) {
  for (std::size_t p = 0; p < s.panels; ++p) {
    const std::size_t cols = std::min(kCols, s.n - p * kCols);
    const Real *const from = b + k * s.b_k + p * kCols * s.b_n;
    Real *const to = panels + p * depth * kCols;
    for (std::size_t r = 0; r < depth; ++r) {
      if (s.b_n == 1 && cols == kCols) {
        std::copy_n(from + r * s.b_k, kCols, to + r * kCols);
        continue;
      }
      for (std::size_t j = 0; j < cols; ++j) {
        to[r * kCols + j] = from[r * s.b_k + j * s.b_n];
      }
      for (std::size_t j = cols; j < kCols; ++j) {
        to[r * kCols + j] = 0;
      }
    }
  }
}

/// Few rows: out[m, n] = dot(a[m], b[n]), in 16 running sums added as a tree. Reads b once, in
/// order.
template <class Real, int kLanes>
CALM_INLINE Real dot(const Real *a, const Real *b, std::size_t n) {
  using Lanes = typename Vector<Real, kLanes>::type;
  constexpr std::size_t kParts = kCols / kLanes;
  Lanes sum[kParts] = {};
  std::size_t k = 0;
  for (; k + kCols <= n; k += kCols) {
    for (std::size_t p = 0; p < kParts; ++p) {
      sum[p] += *reinterpret_cast<const Lanes *>(a + k + p * kLanes) *
                *reinterpret_cast<const Lanes *>(b + k + p * kLanes);
    }
  }
  Real sums[kCols];
  for (std::size_t p = 0; p < kParts; ++p) {
    *reinterpret_cast<Lanes *>(&sums[p * kLanes]) = sum[p];
  }
  for (std::size_t j = 0; k + j < n; ++j) {
    sums[j] += a[k + j] * b[k + j];
  }
  for (std::size_t half = kCols / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) {
      sums[j] += sums[j + half];
    }
  }
  return sums[0];
}

template <class Real>
void dot_rows(const Call &call, const Shape &s, const Real *a, const Real *b, Real *out) {
  constexpr std::size_t kShardColumns = 64;
  for_shards(call, div_up(s.n, kShardColumns), s.work(),
             [&](std::size_t shard, auto width) CALM_LAMBDA {
               constexpr int kLanes = decltype(width)::template lanes<Real>;
               const std::size_t end = std::min(s.n, (shard + 1) * kShardColumns);
               for (std::size_t m = 0; m < s.m; ++m) {
                 for (std::size_t n = shard * kShardColumns; n < end; ++n) {
                   out[m * s.n + n] = dot<Real, kLanes>(a + m * s.k, b + n * s.k, s.k);
                 }
               }
             });
}

/// Rows m .. m + 3 (up to `end`) of panel p of out, over all of k.
template <class Real, int kLanes>
CALM_INLINE void flat_tile(const Shape &s, const Real *a, const Real *panels, std::size_t p,
                           std::size_t m, std::size_t end, Real *out) {
  Real acc[kRows][kCols] = {};
  double total[kRows][kCols] = {};
  for (std::size_t k = 0; k < s.k; k += kDepth) {
    const Real *rows[kRows];
    tile_rows(s, a, m, k, rows);
    multiply_tile<Real, kLanes>(rows, s.a_k, panels + (p * s.k + k) * kCols,
                                std::min(kDepth, s.k - k), acc);
    if (s.k > kDepth) {
      add_tile(&acc[0][0], &total[0][0]);
    }
  }
  Real *const to = out + m * s.n + p * kCols;
  const std::size_t rows = std::min(kRows, end - m);
  const std::size_t cols = std::min(kCols, s.n - p * kCols);
  if (s.k > kDepth) {
    store_tile(&total[0][0], rows, cols, to, s.n);
  } else {
    store_tile(&acc[0][0], rows, cols, to, s.n);
  }
}

/// b is packed once, then every shard computes some rows of out.
template <class Real>
void flat(const Call &call, const Shape &s, const Real *a, const Real *b, Real *out) {
  Scratch scratch(call.scratch());
  Real *const panels = scratch.take<Real>(s.panels * s.k * kCols);
  for_shards(call, 1, 0, [&](std::size_t, auto) CALM_LAMBDA { pack(s, b, 0, s.k, panels); });
  for_shards(call, div_up(s.m, kShardRows), s.work(),
             [&](std::size_t shard, auto width) CALM_LAMBDA {
               constexpr int kLanes = decltype(width)::template lanes<Real>;
               const std::size_t end = std::min(s.m, (shard + 1) * kShardRows);
               for (std::size_t p = 0; p < s.panels; ++p) {
                 for (std::size_t m = shard * kShardRows; m < end; m += kRows) {
                   flat_tile<Real, kLanes>(s, a, panels, p, m, end, out);
                 }
               }
             });
}

template <class Real>
struct TallScratch {
  Real *panels;
  double *sums;
  TallScratch(const Shape &s, Scratch &scratch)
      : panels(scratch.take<Real>(s.panels * kDepth * kCols)),
        sums(scratch.take<double>(s.panels * kShardRows * kCols)) {}
};

/// The sum is over many rows (weight gradients): 64 rows of b are packed at a time, and every shard
/// keeps the sums of its rows of out in double.
template <class Real>
void tall(const Call &call, const Shape &s, const Real *a, const Real *b, Real *out) {
  Scratch measure;
  const TallScratch<Real> measured(s, measure);
  for_shards(
      call, div_up(s.m, kShardRows), s.work(), [&](std::size_t shard, auto width) CALM_LAMBDA {
        constexpr int kLanes = decltype(width)::template lanes<Real>;
        const std::size_t begin = shard * kShardRows;
        const std::size_t end = std::min(s.m, begin + kShardRows);
        Scratch scratch(call.scratch() + shard * measure.used());
        const TallScratch<Real> own(s, scratch);
        std::fill_n(own.sums, s.panels * kShardRows * kCols, 0.0);
        for (std::size_t k = 0; k < s.k; k += kDepth) {
          const std::size_t depth = std::min(kDepth, s.k - k);
          pack(s, b, k, depth, own.panels);
          for (std::size_t p = 0; p < s.panels; ++p) {
            for (std::size_t m = begin; m < end; m += kRows) {
              Real acc[kRows][kCols];
              const Real *rows[kRows];
              tile_rows(s, a, m, k, rows);
              multiply_tile<Real, kLanes>(rows, s.a_k, own.panels + p * depth * kCols, depth, acc);
              add_tile(&acc[0][0], own.sums + (p * kShardRows + m - begin) * kCols);
            }
          }
        }
        for (std::size_t m = begin; m < end; ++m) {
          for (std::size_t n = 0; n < s.n; ++n) {
            const double *const sum = own.sums + (n / kCols * kShardRows + m - begin) * kCols;
            out[m * s.n + n] = static_cast<Real>(sum[n % kCols]);
          }
        }
      });
}

}  // namespace

template <class Real>
std::size_t matmul_plan(const Node &node) {
  const Shape s(node);
  const bool tb = node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 != 0;
  if (s.k != node.extent(CALM_MATMUL_B, tb ? 1 : 0)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a sum over one length, found " +
                                           describe(node.ins[0]) + " and " + describe(node.ins[1]));
  }
  if (!node.outs.empty() && node.outs[0].dtype != 0 &&
      (static_cast<std::size_t>(node.outs[0].shape[0]) != s.m ||
       static_cast<std::size_t>(node.outs[0].shape[1]) != s.n)) {
    throw Error(CALM_INVALID_ARGUMENT, "output 0: expected [" + std::to_string(s.m) + ", " +
                                           std::to_string(s.n) + "], found " +
                                           describe(node.outs[0]));
  }
  Scratch scratch;
  if (s.few_rows()) {
    return 0;
  }
  if (s.tall()) {
    const TallScratch<Real> one(s, scratch);
    return div_up(s.m, kShardRows) * scratch.used();
  }
  scratch.take<Real>(s.panels * s.k * kCols);
  return scratch.used();
}

template <class Real>
void matmul(const Call &call) {
  const Shape s(call.node());
  const Real *const a = call.in<Real>(CALM_MATMUL_A);
  const Real *const b = call.in<Real>(CALM_MATMUL_B);
  Real *const out = call.out<Real>(0);
  if (out == nullptr || s.m == 0 || s.n == 0) {
    return;
  }
  if (s.few_rows()) {
    dot_rows(call, s, a, b, out);
  } else if (s.tall()) {
    tall(call, s, a, b, out);
  } else {
    flat(call, s, a, b, out);
  }
}

CALM_PLANNED_KERNEL(matmul);

}  // namespace calm::reference
