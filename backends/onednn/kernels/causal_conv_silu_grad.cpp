// Gradient of the causal convolution (spec E.6). With c[t, e] = sum over k < K of weight[e, k]
// x[t - k, e] and dc = grad silu'(c):
//   grad_x[t, e] = sum over k of weight[e, k] dc[t + k, e]
//   grad_weight[e, k] = sum over t of dc[t, e] x[t - k, e]
//
// The blocks of a shard come from the last to the first; dc of the rows after a block is kept.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/causal_conv_silu_grad.cpp"
#include "onednn/simd.hpp"
// Above before below.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernels/channels-inl.hpp"
#include "onednn/kernels/conv.hpp"
#include "onednn/kernels/work.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

struct Operands {
  Operand x, grad, grad_x, grad_weight;
  const float *weight;

  explicit Operands(const Call &call)
      : x(call.ins[CALM_CAUSAL_CONV_SILU_GRAD_X]),
        grad(call.ins[CALM_CAUSAL_CONV_SILU_GRAD_GRAD]),
        grad_x(output(call, 0)),
        grad_weight(output(call, 1)),
        weight(call.ins[CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT].at<const float>(0)) {}
};

/// dc of the rows of a window x, which begins taps - 1 rows earlier. kTaps: how many, or 0 for any.
template <std::size_t kTaps>
HWY_NOINLINE void slopes(std::size_t any_taps, const float *HWY_RESTRICT x, std::size_t rows,
                         const float *HWY_RESTRICT weight, ConstColumn grad,
                         float *HWY_RESTRICT dc) {
  const Floats f;
  const std::size_t taps = kTaps == 0 ? any_taps : kTaps;
  for (std::size_t r = 0; r < rows; ++r) {
    const float *const newest = x + (r + taps - 1) * kLanes;
    Vector sum = hn::Mul(hn::Load(f, weight), hn::Load(f, newest));
    for (std::size_t k = 1; k < taps; ++k) {
      sum = hn::MulAdd(hn::Load(f, weight + k * kLanes), hn::Load(f, newest - k * kLanes), sum);
    }
    hn::Store(hn::Mul(hn::LoadU(f, grad.row(r)), silu_slope(f, sum)), f, dc + r * kLanes);
  }
}

/// grad_x of the rows of a window dc, which ends taps - 1 rows later, and grad_weight over them.
template <std::size_t kTaps>
HWY_NOINLINE void gradients(std::size_t any_taps, const float *HWY_RESTRICT x,
                            const float *HWY_RESTRICT dc, std::size_t rows,
                            const float *HWY_RESTRICT weight, Column grad_x,
                            float *HWY_RESTRICT grad_weight) {
  const Floats f;
  const std::size_t taps = kTaps == 0 ? any_taps : kTaps;
  for (std::size_t r = 0; r < rows; ++r) {
    Vector sum = hn::Mul(hn::Load(f, weight), hn::Load(f, dc + r * kLanes));
    for (std::size_t k = 1; k < taps; ++k) {
      sum = hn::MulAdd(hn::Load(f, weight + k * kLanes), hn::Load(f, dc + (r + k) * kLanes), sum);
    }
    hn::StoreU(sum, f, grad_x.row(r));
  }
  for (std::size_t k = 0; k < taps; ++k) {
    const float *const past = x + (taps - 1 - k) * kLanes;
    Vector even = hn::Load(f, grad_weight + k * kLanes);
    Vector odd = hn::Zero(f);
    std::size_t r = 0;
    for (; r + 2 <= rows; r += 2) {
      even = hn::MulAdd(hn::Load(f, dc + r * kLanes), hn::Load(f, past + r * kLanes), even);
      odd =
          hn::MulAdd(hn::Load(f, dc + (r + 1) * kLanes), hn::Load(f, past + (r + 1) * kLanes), odd);
    }
    if (r < rows) {
      even = hn::MulAdd(hn::Load(f, dc + r * kLanes), hn::Load(f, past + r * kLanes), even);
    }
    hn::Store(hn::Add(even, odd), f, grad_weight + k * kLanes);
  }
}

/// Rows [begin, end) of sequence q.
void convolve_rows(const ConvShape &s, const Call &call, const Operands &o,
                   const ConvGradWork &work, std::size_t q, std::size_t begin, std::size_t end) {
  const std::size_t rows = end - begin;
  const std::size_t reach = s.taps - 1;
  const std::size_t known = std::min(reach, begin - row_of(call, q));  // rows before these
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    const std::size_t channel = block * kLanes;
    const std::size_t lanes = lanes_of(s.channels, block);
    float *const later = work.later + block * reach * kLanes;
    const float *const weight = work.weight + block * s.taps * kLanes;
    float *const grad_weight = work.grad_weight + block * s.taps * kLanes;
    std::fill_n(work.x, (reach - known) * kLanes, 0.0F);
    pad_column({o.x.at<const float>(begin - known) + channel, o.x.stride}, known + rows, lanes,
               work.x + (reach - known) * kLanes);
    if (end == row_of(call, q + 1)) {
      std::fill_n(work.dc + rows * kLanes, reach * kLanes, 0.0F);
    } else {
      std::copy_n(later, reach * kLanes, work.dc + rows * kLanes);
    }
    const ConstColumn grad = read_column(o.grad, begin, rows, channel, lanes, work.grad);
    const Column grad_x = write_column(o.grad_x, begin, channel, lanes, work.to);
    if (s.taps == 4) {
      slopes<4>(s.taps, work.x, rows, weight, grad, work.dc);
      gradients<4>(s.taps, work.x, work.dc, rows, weight, grad_x, grad_weight);
    } else {
      slopes<0>(s.taps, work.x, rows, weight, grad, work.dc);
      gradients<0>(s.taps, work.x, work.dc, rows, weight, grad_x, grad_weight);
    }
    finish_column(o.grad_x, begin, rows, channel, lanes, work.to);
    std::copy_n(work.dc, reach * kLanes, later);
  }
}

void causal_conv_silu_grad(const Call &call) {
  const ConvShape s(*call.node);
  const Operands o(call);
  const auto work = work_of<ConvGradWork>(s, call);
  const std::size_t live = live_end(call);
  if (call.first_block(true)) {
    for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
      load_block(o.weight, s.channels, s.taps, block, work.weight + block * s.taps * kLanes,
                 s.taps);
    }
  }
  if (live > call.begin) {
    std::fill_n(work.grad_weight, s.taps * s.padded_channels(), 0.0F);
    // The sequence of the last row, and so on to the one of the first.
    std::size_t q = sequence_of(call, live - 1);
    for (std::size_t end = live; end > call.begin; --q) {
      const std::size_t begin = std::max(row_of(call, q), call.begin);
      if (begin < end) {
        convolve_rows(s, call, o, work, q, begin, end);
        end = begin;
      }
    }
    for (std::size_t block = 0; o.grad_weight && block < blocks_of(s.channels); ++block) {
      add_block(work.grad_weight + block * s.taps * kLanes, s.channels, s.taps, block,
                o.grad_weight.at<double>(0), work.weight_block);
    }
  }
  zero_rows(o.grad_x, live, call.end, s.channels);
}

}  // namespace
}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {
constexpr Variants kRun = CALM_VARIANTS(causal_conv_silu_grad);
}  // namespace

extern const Kernel kCausalConvSiluGrad;
const Kernel kCausalConvSiluGrad{.op = "causal_conv_silu_grad",
                                 .signature = "r[T,E] r[E,K] i[S+1] r[T,E] -> r[T,E] r[E,K]",
                                 .run = kRun,
                                 .order = Order::kDescending,
                                 .sums = 1U << 1,
                                 .wide = 1U << 1,
                                 .reaches = 1U << CALM_CAUSAL_CONV_SILU_GRAD_X,
                                 .carry = carry_bytes<ConvShape, ConvGradWork>,
                                 .scratch = scratch_bytes<ConvShape, ConvGradWork>};

}  // namespace calm::onednn
#endif
