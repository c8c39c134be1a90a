// The mixer of a block and its gradient (cuda/fused.hpp) against a plain double-precision account
// of the same formulas, sequence by sequence.
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "cuda/fused.hpp"
#include "tests/cuda/node.hpp"

namespace calm::cuda {
std::size_t mixer_plan(const Node &node);
void mixer(const Launch &launch);
std::size_t mixer_grad_plan(const Node &node);
void mixer_grad(const Launch &launch);
}  // namespace calm::cuda

namespace calm::cuda_test {
namespace {

constexpr std::size_t kGroup = 8;  // rows that a kept state is before
constexpr std::size_t kPiece = 64;
using Numbers = std::vector<double>;

struct Case {
  std::string name;
  std::size_t channels, states, rank;
  std::vector<std::size_t> lengths;
  std::size_t dead;   // rows behind the last sequence
  std::size_t apart;  // columns beyond those of z, q and their gradients in a row
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

double value_of(float x) { return static_cast<double>(x); }
double value_of(__nv_bfloat16 x) { return static_cast<double>(__bfloat162float(x)); }
template <class T>
T stored(double x) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(x);
  } else {
    return __float2bfloat16_rn(static_cast<float>(x));
  }
}

/// Rows `stride` apart; NaN between them.
template <class T>
std::vector<T> spread(const Numbers &x, std::size_t width, std::size_t stride) {
  const std::size_t rows = width == 0 ? 0 : x.size() / width;
  std::vector<T> y(rows == 0 ? 0 : (rows - 1) * stride + width, stored<T>(std::nan("")));
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i / width * stride + i % width] = stored<T>(x[i]);
  }
  return y;
}

/// Inputs of a case, as they are after they have been stored as T.
struct Inputs {
  std::size_t rows = 0;
  Numbers s, q, z, dt_weight, dt_bias, a_log, d, grad;
  std::vector<std::int32_t> offsets{0};
};

template <class T>
Inputs inputs_of(const Case &c) {
  std::mt19937 random(17);
  const auto numbers = [&](std::size_t n, double middle, double spread, bool act) {
    std::normal_distribution<double> normal(middle, spread);
    Numbers x(n);
    for (double &v : x) {
      v = act ? value_of(stored<T>(normal(random))) : value_of(static_cast<float>(normal(random)));
    }
    return x;
  };
  Inputs in;
  for (const std::size_t length : c.lengths) {
    in.rows += length;
    in.offsets.push_back(static_cast<std::int32_t>(in.rows));
  }
  in.rows += c.dead;
  in.s = numbers(in.rows * c.channels, 0, 1, true);
  in.q = numbers(in.rows * (c.rank + 2 * c.states), 0, 0.7, true);
  in.z = numbers(in.rows * c.channels, 0, 2, true);
  in.grad = numbers(in.rows * c.channels, 0, 1, true);
  in.dt_weight = numbers(c.channels * c.rank, 0, 0.5, false);
  in.dt_bias = numbers(c.channels, -3, 1.5, false);
  in.a_log = numbers(c.channels * c.states, 0.5, 1, false);
  in.d = numbers(c.channels, 1, 0.3, false);
  return in;
}

struct Results {
  Numbers g, y, states, delta, grad_s, grad_q, grad_z, sums;
};

std::size_t div_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }
/// Numbers before a row: pairs of states, [ceil(N / 2), E, 2].
std::size_t each_states(const Case &c) { return div_up(c.states, 2) * c.channels * 2; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// `y`: what the gradient is told of y, as stored; empty: the y computed here.
Results expected_of(const Case &c, const Inputs &in, const Numbers &y, std::size_t piece) {
  const std::size_t channels = c.channels;
  const std::size_t states = c.states;
  const std::size_t width = c.rank + 2 * states;
  const std::size_t wide = channels * (states + 2 + c.rank);
  Results r;
  r.g.assign(in.rows * channels, 0);
  r.y = r.delta = r.grad_s = r.grad_z = r.g;
  r.states.assign(div_up(in.rows, kGroup) * each_states(c), 0);
  r.grad_q.assign(in.rows * width, 0);
  r.sums.assign(div_up(in.rows, piece) * wide, 0);
  for (std::size_t e = 0; e < channels; ++e) {
    Numbers decay(states);
    for (std::size_t n = 0; n < states; ++n) {
      decay[n] = -std::exp(in.a_log[e * states + n]);
    }
    std::size_t begin = 0;
    for (const std::size_t length : c.lengths) {
      std::vector<Numbers> h(length + 1, Numbers(states, 0));  // before each row, behind the last
      Numbers pre(length);
      Numbers delta(length);
      for (std::size_t k = 0; k < length; ++k) {
        const std::size_t t = begin + k;
        const double *const q = &in.q[t * width];
        pre[k] = in.dt_bias[e];
        for (std::size_t i = 0; i < c.rank; ++i) {
          pre[k] += q[i] * in.dt_weight[e * c.rank + i];
        }
        delta[k] = std::log1p(std::exp(-std::abs(pre[k]))) + std::max(pre[k], 0.0);
        r.delta[t * channels + e] = delta[k];
        double y_t = in.d[e] * in.s[t * channels + e];
        for (std::size_t n = 0; n < states; ++n) {
          if (t % kGroup == 0) {
            r.states[t / kGroup * each_states(c) + (n / 2 * channels + e) * 2 + n % 2] = h[k][n];
          }
          h[k + 1][n] = std::exp(delta[k] * decay[n]) * h[k][n] +
                        delta[k] * q[c.rank + n] * in.s[t * channels + e];
          y_t += q[c.rank + states + n] * h[k + 1][n];
        }
        r.y[t * channels + e] = y_t;
        const double z = in.z[t * channels + e];
        r.g[t * channels + e] = y_t * z * sigmoid(z);
      }
      Numbers carry(states, 0);
      for (std::size_t k = length; k-- > 0;) {
        const std::size_t t = begin + k;
        const std::size_t at = t * channels + e;
        const double *const q = &in.q[t * width];
        double *const grad_q = &r.grad_q[t * width];
        double *const sums = &r.sums[t / piece * wide];
        const double z = in.z[at];
        const double gy = in.grad[at] * z * sigmoid(z);
        r.grad_z[at] =
            in.grad[at] * (y.empty() ? r.y : y)[at] * sigmoid(z) * (1 + z * (1 - sigmoid(z)));
        double grad_delta = 0;
        r.grad_s[at] = in.d[e] * gy;
        for (std::size_t n = 0; n < states; ++n) {
          const double dh = q[c.rank + states + n] * gy + carry[n];
          const double w = std::exp(delta[k] * decay[n]);
          grad_q[c.rank + n] += dh * delta[k] * in.s[at];
          grad_q[c.rank + states + n] += gy * h[k + 1][n];
          r.grad_s[at] += dh * delta[k] * q[c.rank + n];
          grad_delta += dh * (decay[n] * w * h[k][n] + q[c.rank + n] * in.s[at]);
          sums[e * states + n] += dh * delta[k] * w * h[k][n] * decay[n];
          carry[n] = w * dh;
        }
        const double grad_pre = grad_delta * sigmoid(pre[k]);
        sums[channels * states + e] += gy * in.s[at];
        sums[channels * (states + 1) + e] += grad_pre;
        for (std::size_t i = 0; i < c.rank; ++i) {
          grad_q[i] += grad_pre * in.dt_weight[e * c.rank + i];
          sums[channels * (states + 2) + e * c.rank + i] += grad_pre * q[i];
        }
      }
      begin += length;
    }
  }
  return r;
}

/// Errors are to be small beside the number itself or the middle size of all.
template <class T>
void expect_near(const char *what, const T *found, const Numbers &expected, std::size_t width,
                 std::size_t stride, double within) {
  double squares = 0;
  for (const double x : expected) {
    squares += x * x;
  }
  const double middle = std::sqrt(squares / static_cast<double>(expected.size()));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < expected.size() && wrong < 3; ++i) {
    const double x = value_of(found[i / width * stride + i % width]);
    const double most = expected[i] == 0 ? 0 : within * (std::abs(expected[i]) + middle);
    if (!(std::abs(x - expected[i]) <= most)) {
      ++wrong;
      ADD_FAILURE() << what << " row " << i / width << " column " << i % width << ": " << x
                    << ", expected " << expected[i];
    }
  }
}

std::vector<std::int64_t> shape(std::initializer_list<std::size_t> extents) {
  std::vector<std::int64_t> s;
  for (const std::size_t extent : extents) {
    s.push_back(static_cast<std::int64_t>(extent));
  }
  return s;
}
std::int64_t stride(std::size_t n) { return static_cast<std::int64_t>(n); }

template <class T>
void add_inputs(Operands &o, const Case &c, const Inputs &in) {
  const std::size_t width = c.rank + 2 * c.states;
  o.in(spread<T>(in.s, c.channels, c.channels), shape({in.rows, c.channels}))
      .in(spread<T>(in.q, width, width + c.apart), shape({in.rows, width}), stride(width + c.apart))
      .in(spread<T>(in.z, c.channels, c.channels + c.apart), shape({in.rows, c.channels}),
          stride(c.channels + c.apart))
      .in(spread<float>(in.dt_weight, c.rank, c.rank), shape({c.channels, c.rank}))
      .in(spread<float>(in.dt_bias, 1, 1), shape({c.channels}))
      .in(spread<float>(in.a_log, c.states, c.states), shape({c.channels, c.states}))
      .in(spread<float>(in.d, 1, 1), shape({c.channels}))
      .in(in.offsets, shape({in.offsets.size()}));
}

template <class T>
double within() {
  return std::is_same_v<T, float> ? 1e-5 : 8e-3;
}

/// Where a sequence begins with one of every 8 rows the state before it is not asked for, nor
/// behind the last sequence: what is expected is put there.
template <class T>
void forget_unused(const Case &c, const Inputs &in, T *states) {
  const std::size_t each = each_states(c);
  for (std::size_t t = 0; t < in.rows; t += kGroup) {
    bool used = false;
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      used = used || (static_cast<std::size_t>(in.offsets[i]) < t &&
                      t < static_cast<std::size_t>(in.offsets[i + 1]));
    }
    if (!used) {
      std::fill_n(states + t / kGroup * each, each, stored<T>(0));
    }
  }
}

template <class T>
void check_forward(const Case &c, bool training, std::size_t piece = kPiece) {
  const Inputs in = inputs_of<T>(c);
  const Results expected = expected_of(c, in, {}, piece);
  const std::size_t groups = div_up(in.rows, kGroup);
  Operands o("mixer");
  o.i64(static_cast<std::int64_t>(piece));
  add_inputs<T>(o, c, in);
  const T *const g = o.template out<T>(shape({in.rows, c.channels}));
  const T *y = nullptr;
  T *states = nullptr;
  if (training) {
    y = o.template out<T>(shape({in.rows, c.channels}));
    states = o.template out<T>(shape({groups, each_states(c)}));
  } else {
    o.no_out().no_out();
  }
  const float *const delta = o.template out<float>(shape({in.rows, c.channels}));
  o.run(cuda::mixer, cuda::mixer_plan);
  expect_near("g", g, expected.g, c.channels, c.channels, within<T>());
  expect_near("delta", delta, expected.delta, c.channels, c.channels, within<float>());
  if (training) {
    expect_near("y", y, expected.y, c.channels, c.channels, within<T>());
    forget_unused(c, in, states);
    expect_near("states", states, expected.states, 1, 1, within<T>());
  }
}

/// `padding`: columns of grad_q behind those that there are.
template <class T>
void check_backward(const Case &c, std::size_t piece = kPiece, std::size_t padding = 0) {
  const Inputs in = inputs_of<T>(c);
  const Results forward = expected_of(c, in, {}, piece);
  Numbers y = forward.y;
  for (double &v : y) {
    v = value_of(stored<T>(v));
  }
  const Results expected = expected_of(c, in, y, piece);
  const std::size_t width = c.rank + 2 * c.states;
  const std::size_t each = each_states(c);
  const std::size_t sums_width = c.channels * (c.states + 2 + c.rank);
  Operands o("mixer_grad");
  o.i64(static_cast<std::int64_t>(piece));
  add_inputs<T>(o, c, in);
  o.in(spread<T>(y, c.channels, c.channels), shape({in.rows, c.channels}))
      .in(spread<T>(forward.states, each, each), shape({div_up(in.rows, kGroup), each}))
      .in(spread<float>(forward.delta, c.channels, c.channels), shape({in.rows, c.channels}))
      .in(spread<T>(in.grad, c.channels, c.channels), shape({in.rows, c.channels}));
  const T *const grad_s = o.template out<T>(shape({in.rows, c.channels}));
  const std::size_t apart = width + padding + c.apart;
  const T *const grad_q = o.template out<T>(shape({in.rows, width + padding}), stride(apart));
  const T *const grad_z =
      o.template out<T>(shape({in.rows, c.channels}), stride(c.channels + c.apart));
  const float *const sums = o.template out<float>(shape({div_up(in.rows, piece), sums_width}));
  o.run(cuda::mixer_grad, cuda::mixer_grad_plan);
  // The sums over rows see what has been rounded: the states before every 8th row, products.
  const double of_sums = std::is_same_v<T, float> ? 4 * within<float>() : within<T>();
  expect_near("grad_s", grad_s, expected.grad_s, c.channels, c.channels, within<T>());
  expect_near("grad_q", grad_q, expected.grad_q, width, apart, within<T>());
  for (std::size_t i = 0; i < in.rows * padding; ++i) {
    EXPECT_EQ(value_of(grad_q[i / padding * apart + width + i % padding]), 0) << i;
  }
  expect_near("grad_z", grad_z, expected.grad_z, c.channels, c.channels + c.apart, within<T>());
  expect_near("sums", sums, expected.sums, sums_width, sums_width, of_sums);
}

const std::vector<std::size_t> kAwkward = {0, 1, 63, 64, 65, 200, 0};

class Mixer : public testing::TestWithParam<Case> {};

TEST_P(Mixer, IsWhatTheFormulasSayInF32) { check_forward<float>(GetParam(), true); }
TEST_P(Mixer, IsWhatTheFormulasSayInBf16) { check_forward<__nv_bfloat16>(GetParam(), true); }
TEST_P(Mixer, HasTheGradientOfTheFormulasInF32) { check_backward<float>(GetParam()); }
TEST_P(Mixer, HasTheGradientOfTheFormulasInBf16) { check_backward<__nv_bfloat16>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(All, Mixer,
                         testing::Values(Case{"nano", 32, 16, 4, kAwkward, 37, 4},
                                         Case{"channels_over", 37, 16, 12, kAwkward, 0, 3},
                                         Case{"odd", 33, 5, 1, {1, 130, 2}, 3, 1},
                                         Case{"rank_6", 40, 16, 6, {70, 100}, 22, 0},
                                         Case{"one_row", 1, 1, 1, {1}, 0, 0},
                                         Case{"all_dead", 8, 16, 4, {0}, 70, 0}),
                         [](const auto &test) { return test.param.name; });

TEST(MixerAlone, NeedsNoBoundsWhereNobodyAsks) {
  check_forward<float>({"", 5, 16, 4, {100, 90}, 5, 0}, false);
}

TEST(MixerAlone, HandsOnBesideManySequences) {
  Case c{"", 2, 2, 1, std::vector<std::size_t>(512, 1), 0, 0};
  c.lengths.push_back(150);
  check_forward<float>(c, true, 8);
  check_backward<float>(c, 8);
}

TEST(MixerAlone, GoesThroughPiecesOfAnyLength) {
  const Case c{"", 2, 2, 1, {1, 300, 62, 65, 0, 700, 129}, 100, 0};
  for (const std::size_t piece : {8UL, 16UL, 128UL, 256UL}) {
    check_forward<float>(c, true, piece);
    check_backward<float>(c, piece);
    check_backward<__nv_bfloat16>(c, piece);
  }
}

TEST(MixerAlone, ReadsWholeRows) {
  const Case c{"", 128, 16, 4, {33, 150, 7, 90}, 40, 0};
  check_forward<__nv_bfloat16>(c, true, 16);
  check_backward<float>(c, 16);
  check_backward<__nv_bfloat16>(c, 16);
}

TEST(MixerAlone, PutsZerosBehindTheGradientOfQ) {
  for (const std::size_t channels : {2UL, 40UL, 192UL}) {  // the last takes several blocks
    check_backward<__nv_bfloat16>({"", channels, 16, 6, {70, 9}, 22, 3}, 16, 2);
    check_backward<float>({"", channels, 1, 1, {1, 30, 2}, 3, 0}, 16, 5);  // of three columns
  }
}

TEST(MixerAlone, AddsUpOverWarpsAndBlocks) {
  for (const std::size_t channels : {64UL, 70UL, 130UL, 192UL}) {
    const Case c{"", channels, 3, 2, {1, 20, 12}, 1, 1};
    check_forward<float>(c, true, 16);
    check_backward<float>(c, 16);
    check_backward<__nv_bfloat16>(c, 16);
  }
}

TEST(MixerAlone, KeepsWhatIsNoNumberInItsSequence) {
  const Case c{"", 3, 4, 1, {5, 20, 6}, 2, 0};
  Inputs in = inputs_of<float>(c);
  in.s[8 * c.channels] = std::nan("");  // of the second sequence
  Operands forward("mixer");
  forward.i64(16);
  add_inputs<float>(forward, c, in);
  const float *const g = forward.out<float>(shape({in.rows, c.channels}));
  const float *const y = forward.out<float>(shape({in.rows, c.channels}));
  const float *const states = forward.out<float>(shape({div_up(in.rows, kGroup), each_states(c)}));
  const float *const delta = forward.out<float>(shape({in.rows, c.channels}));
  forward.run(cuda::mixer, cuda::mixer_plan);
  Operands back("mixer_grad");
  back.i64(16);
  add_inputs<float>(back, c, in);
  const auto copy = [](const float *from, std::size_t n) {
    return std::vector<float>(from, from + n);
  };
  back.in(copy(y, in.rows * c.channels), shape({in.rows, c.channels}))
      .in(copy(states, div_up(in.rows, kGroup) * each_states(c)),
          shape({div_up(in.rows, kGroup), each_states(c)}))
      .in(copy(delta, in.rows * c.channels), shape({in.rows, c.channels}))
      .in(spread<float>(in.grad, c.channels, c.channels), shape({in.rows, c.channels}));
  const float *const grad_s = back.out<float>(shape({in.rows, c.channels}));
  back.out<float>(shape({in.rows, 9}));  // its sums go by eight rows: the matrix unit's 0 * NaN
  const float *const grad_z = back.out<float>(shape({in.rows, c.channels}));
  back.out<float>(shape({div_up(in.rows, 16), c.channels * 7}));
  back.run(cuda::mixer_grad, cuda::mixer_grad_plan);
  EXPECT_TRUE(std::isnan(g[8 * c.channels]));
  for (std::size_t t = 0; t < in.rows; ++t) {
    if (t >= 5 && t < 25) {
      continue;
    }
    for (std::size_t e = 0; e < c.channels; ++e) {
      const std::size_t at = t * c.channels + e;
      EXPECT_TRUE(std::isfinite(g[at]) && std::isfinite(grad_s[at]) && std::isfinite(grad_z[at]))
          << "row " << t << " channel " << e;
    }
  }
}

TEST(MixerAlone, RefusesMoreStatesThanItHasRoomFor) {
  const Case c{"", 3, 17, 4, {5}, 0, 0};
  const Inputs in = inputs_of<float>(c);
  Operands o("mixer");
  o.i64(1);
  add_inputs<float>(o, c, in);
  EXPECT_THROW(cuda::mixer_plan(o.node()), Error);
  EXPECT_THROW(cuda::mixer_grad_plan(o.node()), Error);
}

}  // namespace
}  // namespace calm::cuda_test
