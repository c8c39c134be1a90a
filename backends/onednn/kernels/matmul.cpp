// Products of rows by a packed matrix, out[t, n] = sum over k of a[t, k] op(b)[k, n]
// (calm/ops/matmul.h).
//
// A tile of sums stays in registers: 6 rows of 64 columns are 24 of AVX-512's 32 registers, 6 of 16
// columns 12 of AVX2's 16. Every sum runs over k in order with one multiply-add a term, whatever
// the number of rows: a row of a prefill and the same row of a decode step have the same bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/matmul.cpp"
#include "onednn/simd.hpp"
// After simd.hpp.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <calm/ops/matmul.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "onednn/fuse.hpp"
#include "onednn/math-inl.hpp"
#include "onednn/pack.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr std::size_t kLanes = HWY_LANES(float);
// Rows and vectors of a tile.
constexpr std::size_t kRows = kLanes == 1 ? 2 : 6;
constexpr std::size_t kVectors = kLanes >= 16 ? 4 : kLanes == 8 ? 2 : 4;

/// Consecutive packed weights as floats.
template <WeightType type>
struct Weights;
template <>
struct Weights<WeightType::kF32> {
  using Element = float;
  static constexpr std::size_t kDepth = 1;  // terms of the sum that lie side by side
  static HWY_INLINE V load(D d, const float *from) { return hn::LoadU(d, from); }
};
// Two terms a word: a shift makes the first, the word is the second (pack.hpp), where widening
// would cost a shuffle each.
template <>
struct Weights<WeightType::kBf16> {
  using Element = std::uint16_t;
  static constexpr std::size_t kDepth = kBf16Depth;
  using Words = hn::Vec<hn::RebindToUnsigned<D>>;
  static HWY_INLINE Words load(const std::uint16_t *from) {
    auto words =
        hn::LoadU(hn::RebindToUnsigned<D>(), reinterpret_cast<const std::uint32_t *>(from));
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
    __asm__("" : "+v"(words.raw));  // or gcc loads them twice
#endif
    return words;
  }
  static HWY_INLINE V first(D d, Words words) { return hn::BitCast(d, hn::ShiftLeft<16>(words)); }
  static HWY_INLINE V second(D d, Words words) { return hn::BitCast(d, words); }
};
template <>
struct Weights<WeightType::kInt8> {
  using Element = std::int8_t;
  static constexpr std::size_t kDepth = 1;
  static HWY_INLINE V load(D d, const std::int8_t *from) {
    const hn::Rebind<std::int8_t, D> d8;
    const hn::RebindToSigned<D> d32;
    return hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, from)));
  }
};

/// The first `n` lanes.
HWY_INLINE void store_first(V v, D d, float *to, std::size_t n) {
  if (n >= kLanes) {
    hn::StoreU(v, d, to);
  } else {
    hn::BlendedStore(v, hn::FirstN(d, n), d, to);
  }
}

struct Product {
  const float *a;
  std::size_t a_stride;
  float *out;
  std::size_t out_stride;
  std::size_t k, columns;  // columns that exist from the tile's first on
  std::size_t width;       // of the panel
  const float *scales;     // int8
  Finish finish;
  const float *more;  // rows to add, or a bias
  std::size_t more_stride;
  float *finished;  // of an activation
  std::size_t finished_stride;
};

HWY_INLINE V load_first(D d, const float *from, std::size_t n) {
  return n >= kLanes ? hn::LoadU(d, from) : hn::MaskedLoad(hn::FirstN(d, n), d, from);
}

/// What is left to do with a vector of a tile's sums at row r, column c, n of whose lanes exist.
HWY_INLINE void finish(const Product &p, std::size_t r, std::size_t c, std::size_t n, V sum) {
  const D d;
  if (p.finish == Finish::kAdd) {
    sum = hn::Add(sum, load_first(d, p.more + r * p.more_stride + c, n));
  } else if (p.finish == Finish::kBiasSoftplus) {
    sum = hn::Add(sum, load_first(d, p.more + c, n));
    store_first(softplus_of(d, sum), d, p.finished + r * p.finished_stride + c, n);
  } else if (p.finish == Finish::kGelu) {
    store_first(gelu_of(d, sum), d, p.finished + r * p.finished_stride + c, n);
  }
  if (p.out != nullptr) {
    store_first(sum, d, p.out + r * p.out_stride + c, n);
  }
}

/// Where vector v of row k of a tile's columns lies; kDepth rows lie side by side.
template <WeightType type>
HWY_INLINE const typename Weights<type>::Element *vector_at(
    const Product &p, const typename Weights<type>::Element *panel, std::size_t k, std::size_t v) {
  return panel + k * p.width + v * kLanes * Weights<type>::kDepth;
}

/// A tile of R rows and N vectors of columns.
template <WeightType type, std::size_t R, std::size_t N>
HWY_INLINE void multiply(const Product &p, const typename Weights<type>::Element *panel) {
  const D d;
  V sums[R][N];
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < N; ++v) {
      sums[r][v] = hn::Zero(d);
    }
  }
  if constexpr (Weights<type>::kDepth == 1) {
    for (std::size_t k = 0; k < p.k; ++k) {
      V b[N];
      for (std::size_t v = 0; v < N; ++v) {
        b[v] = Weights<type>::load(d, vector_at<type>(p, panel, k, v));
      }
      for (std::size_t r = 0; r < R; ++r) {
        const V a = hn::Set(d, p.a[r * p.a_stride + k]);
        for (std::size_t v = 0; v < N; ++v) {
          sums[r][v] = hn::MulAdd(a, b[v], sums[r][v]);
        }
      }
    }
  } else {
    const auto add = [&](std::size_t k, bool pair) HWY_ATTR __attribute__((always_inline)) {
      for (std::size_t v = 0; v < N; ++v) {
        auto words = Weights<type>::load(vector_at<type>(p, panel, k, v));
        const V b = Weights<type>::first(d, words);
        for (std::size_t r = 0; r < R; ++r) {
          sums[r][v] = hn::MulAdd(hn::Set(d, p.a[r * p.a_stride + k]), b, sums[r][v]);
        }
        if (pair) {
          const V next = Weights<type>::second(d, words);
          for (std::size_t r = 0; r < R; ++r) {
            sums[r][v] = hn::MulAdd(hn::Set(d, p.a[r * p.a_stride + k + 1]), next, sums[r][v]);
          }
        }
      }
    };
    for (std::size_t k = 0; k + 2 <= p.k; k += 2) {
      add(k, true);
    }
    if (p.k % 2 != 0) {
      add(p.k - 1, false);
    }
  }
  if constexpr (type == WeightType::kInt8) {
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t v = 0; v < N; ++v) {
        sums[r][v] = hn::Mul(sums[r][v], hn::LoadU(d, p.scales + v * kLanes));
      }
    }
  }
  // Whole tiles go from registers to memory: sums over a few k notice every choice.
  const bool whole = p.columns >= N * kLanes;
  if (whole && p.finish == Finish::kNone) {
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t v = 0; v < N; ++v) {
        hn::StoreU(sums[r][v], d, p.out + r * p.out_stride + v * kLanes);
      }
    }
    return;
  }
  if (whole && p.finish == Finish::kAdd) {
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t v = 0; v < N; ++v) {
        const V more = hn::LoadU(d, p.more + r * p.more_stride + v * kLanes);
        hn::StoreU(hn::Add(sums[r][v], more), d, p.out + r * p.out_stride + v * kLanes);
      }
    }
    return;
  }
  if constexpr (R == 1) {  // of generation, which waits for it
    if (whole && p.finish == Finish::kGelu) {
      for (std::size_t v = 0; v < N; ++v) {
        if (p.out != nullptr) {
          hn::StoreU(sums[0][v], d, p.out + v * kLanes);
        }
        hn::StoreU(gelu_of(d, sums[0][v]), d, p.finished + v * kLanes);
      }
      return;
    }
    if (whole && p.finish == Finish::kBiasSoftplus) {
      for (std::size_t v = 0; v < N; ++v) {
        const V sum = hn::Add(sums[0][v], hn::LoadU(d, p.more + v * kLanes));
        if (p.out != nullptr) {
          hn::StoreU(sum, d, p.out + v * kLanes);
        }
        hn::StoreU(softplus_of(d, sum), d, p.finished + v * kLanes);
      }
      return;
    }
  }
  // A copy, for what a loop indexes cannot stay in registers in the paths above either.
  HWY_ALIGN float tile[R * N * kLanes];
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < N; ++v) {
      hn::Store(sums[r][v], d, tile + (r * N + v) * kLanes);
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < N && v * kLanes < p.columns; ++v) {
      finish(p, r, v * kLanes, p.columns - v * kLanes, hn::Load(d, tile + (r * N + v) * kLanes));
    }
  }
}

/// All rows of N vectors of columns.
template <WeightType type, std::size_t N>
HWY_NOINLINE void multiply_rows(Product p, std::size_t rows,
                                const typename Weights<type>::Element *panel) {
  for (; rows >= kRows; rows -= kRows) {
    multiply<type, kRows, N>(p, panel);
    p.a += kRows * p.a_stride;
    p.out += p.out == nullptr ? 0 : kRows * p.out_stride;
    p.more += p.finish == Finish::kAdd ? kRows * p.more_stride : 0;
    p.finished += p.finished == nullptr ? 0 : kRows * p.finished_stride;
  }
  switch (rows) {
    case 5:
      multiply<type, std::min<std::size_t>(5, kRows), N>(p, panel);
      break;
    case 4:
      multiply<type, std::min<std::size_t>(4, kRows), N>(p, panel);
      break;
    case 3:
      multiply<type, std::min<std::size_t>(3, kRows), N>(p, panel);
      break;
    case 2:
      multiply<type, std::min<std::size_t>(2, kRows), N>(p, panel);
      break;
    case 1:
      multiply<type, 1, N>(p, panel);
      break;
    default:
      break;
  }
}

/// Vectors of a tile of one row: with fewer sums than these would wait for each other.
template <WeightType type>
constexpr std::size_t kRowVectors =
    kLanes == 1
        ? kVectors
        : std::min<std::size_t>(8, (type == WeightType::kBf16 ? kBf16Panel : kPanel) / kLanes);

/// Calls `tile` with the number of a tile's vectors, 1 to kMost, as a constant.
template <std::size_t kMost, class Tile>
HWY_INLINE void with_vectors(std::size_t vectors, Tile tile) {
  switch (vectors) {
    case 1:
      return tile(std::integral_constant<std::size_t, 1>());
    case 2:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(2, kMost)>());
    case 3:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(3, kMost)>());
    case 4:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(4, kMost)>());
    case 5:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(5, kMost)>());
    case 6:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(6, kMost)>());
    case 7:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(7, kMost)>());
    default:
      return tile(std::integral_constant<std::size_t, std::min<std::size_t>(8, kMost)>());
  }
}

template <WeightType type>
HWY_INLINE void multiply_call(const Call &call) {
  using Element = typename Weights<type>::Element;
  constexpr std::size_t kDepth = Weights<type>::kDepth;
  PackShape shape = pack_shape(*call.node);
  shape.type = type;
  const std::size_t rows = call.rows();
  Product p{};
  p.k = shape.k;
  p.a = call.ins[CALM_MATMUL_A].at<const float>(call.begin);
  p.a_stride = call.ins[CALM_MATMUL_A].stride;
  p.finish = finish_of(*call.node);
  if (const Operand out = call.outs[0]) {
    p.out = out.at(call.begin);
    p.out_stride = out.stride;
  }
  if (p.finish == Finish::kAdd || p.finish == Finish::kBiasSoftplus) {
    p.more = call.ins[2].at<const float>(p.finish == Finish::kAdd ? call.begin : 0);
    p.more_stride = call.ins[2].stride;
  }
  if (p.finish == Finish::kGelu || p.finish == Finish::kBiasSoftplus) {
    p.finished = call.outs[1] ? call.outs[1].at(call.begin) : nullptr;
    p.finished_stride = call.outs[1].stride;
  }
  const std::byte *const packed = call.ins[CALM_MATMUL_B].data;
  p.scales = reinterpret_cast<const float *>(packed);
  const auto *panel = reinterpret_cast<const Element *>(packed + shape.scale_bytes());
  const std::size_t terms = (shape.k + kDepth - 1) / kDepth * kDepth;
  const auto go_on = [&p](std::size_t columns) HWY_ATTR {
    p.out += p.out == nullptr ? 0 : columns;
    p.more += p.more == nullptr ? 0 : columns;
    p.finished += p.finished == nullptr ? 0 : columns;
    p.scales += columns;
  };
  for (std::size_t n = 0; n < shape.n; n += shape.panel()) {
    p.width = std::min(shape.panel(), shape.padded() - n);
    const std::size_t end = std::min(n + shape.panel(), shape.n);
    for (std::size_t c = 0; n + c < end;) {
      p.columns = end - n - c;
      const std::size_t vectors =
          std::min(rows == 1 ? kRowVectors<type> : kVectors, (p.columns + kLanes - 1) / kLanes);
      const Element *const from = panel + c * kDepth;
      if (rows == 1) {  // without a call of its own
        with_vectors<kRowVectors<type>>(vectors, [&](auto number) CALM_SIMD {
          multiply<type, 1, decltype(number)::value>(p, from);
        });
      } else {
        with_vectors<kVectors>(vectors, [&](auto number) CALM_SIMD {
          multiply_rows<type, decltype(number)::value>(p, rows, from);
        });
      }
      c += vectors * kLanes;
      go_on(vectors * kLanes);
    }
    panel += terms * p.width;
  }
}

void multiply_f32(const Call &call) { multiply_call<WeightType::kF32>(call); }
void multiply_bf16(const Call &call) { multiply_call<WeightType::kBf16>(call); }
void multiply_int8(const Call &call) { multiply_call<WeightType::kInt8>(call); }

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kMultiplyF32 = CALM_VARIANTS(multiply_f32);
constexpr Variants kMultiplyBf16 = CALM_VARIANTS(multiply_bf16);
constexpr Variants kMultiplyInt8 = CALM_VARIANTS(multiply_int8);
constexpr std::string_view kByMatrix[] = {
    "r[T,K] r[C,D] | bb -> r[T,N]", "r[T,K] r[C,D] r[T,N] | bb -> r[T,N]",
    "r[T,K] r[C,D] | bb -> r[T,N] r[T,N]", "r[T,K] r[C,D] r[N] | bb -> r[T,N] r[T,N]"};

// By WeightType and Finish.
#define CALM_PRODUCTS(run_)                                             \
  {                                                                     \
    {.op = CALM_OP_MATMUL, .signature = kByMatrix[0], .run = run_},     \
        {.op = CALM_OP_MATMUL, .signature = kByMatrix[1], .run = run_}, \
        {.op = CALM_OP_MATMUL, .signature = kByMatrix[2], .run = run_}, \
        {.op = CALM_OP_MATMUL, .signature = kByMatrix[3], .run = run_}, \
  }
const Kernel kProducts[3][4] = {CALM_PRODUCTS(kMultiplyF32), CALM_PRODUCTS(kMultiplyBf16),
                                CALM_PRODUCTS(kMultiplyInt8)};

}  // namespace

extern const Kernel kMatmulOverRows;

const Kernel *matmul_kernel(const Node &node, WeightType type) {
  if (node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 == 0) {
    return &kProducts[static_cast<std::size_t>(type)][static_cast<std::size_t>(finish_of(node))];
  }
  return node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 == 0 ? &kMatmulOverRows : nullptr;
}

}  // namespace calm::onednn
#endif
