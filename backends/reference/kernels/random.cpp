// Uniform and normal draws (calm/ops/random.h, program rule 11): Philox4x32-10 by (lane / 4, row,
// micro step, stream); normals by Box & Muller (1958), computed in double.
#include <calm/ops/random.h>
#include <calm/random.h>

#include <algorithm>
#include <cmath>

#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr std::size_t kLanes = 4;  // words of one Philox block

double unit(std::uint32_t word) { return static_cast<double>(word >> 8) * 0x1p-24; }

template <class Real>
void uniform_block(const calm_philox4 &w, Real (&out)[kLanes]) {
  for (std::size_t i = 0; i < kLanes; ++i) {
    out[i] = static_cast<Real>(unit(w.word[i]));
  }
}

template <class Real>
void normal_block(const calm_philox4 &w, Real (&out)[kLanes]) {
  constexpr double kTwoPi = 6.28318530717958647692;
  for (std::size_t j = 0; j < kLanes; j += 2) {
    const double radius = std::sqrt(-2 * std::log(unit(w.word[j]) + 0x1p-24));
    const double angle = kTwoPi * unit(w.word[j + 1]);
    out[j] = static_cast<Real>(radius * std::cos(angle));
    out[j + 1] = static_cast<Real>(radius * std::sin(angle));
  }
}

template <class Real>
void draw(const Call &call, void (*block)(const calm_philox4 &, Real (&)[kLanes])) {
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  const calm_type &like = call.node().ins[CALM_RANDOM_LIKE];
  const std::size_t n = count(like);
  if (const Real *const given = call.in<Real>(CALM_RANDOM_DRAW)) {
    std::copy_n(given, n, out);
    return;
  }
  const std::size_t rows = like.rank == 0 ? 1 : static_cast<std::size_t>(like.shape[0]);
  const std::size_t lanes = rows == 0 ? 0 : n / rows;
  const auto seed = static_cast<std::uint64_t>(call.scalar<std::int64_t>(CALM_RANDOM_SEED));
  const auto row_base = static_cast<std::uint32_t>(call.scalar<std::int32_t>(CALM_RANDOM_ROW_BASE));
  const auto micro_step =
      static_cast<std::uint32_t>(call.scalar<std::int32_t>(CALM_RANDOM_MICRO_STEP));
  const std::int64_t stream = call.i64(CALM_RANDOM_STREAM);
  const std::uint32_t id = stream == 0 ? call.node().stream : static_cast<std::uint32_t>(stream);
  for_blocks(call, rows, row_block(lanes * 16), 50 * static_cast<double>(lanes),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t r = begin; r < end; ++r) {
                 for (std::size_t l = 0; l < lanes; l += kLanes) {
                   Real drawn[kLanes];
                   block(calm_philox(seed, static_cast<std::uint32_t>(l / kLanes),
                                     static_cast<std::uint32_t>(r) + row_base, micro_step, id),
                         drawn);
                   std::copy_n(drawn, std::min(kLanes, lanes - l), out + r * lanes + l);
                 }
               }
             });
}

}  // namespace

template <class Real>
void random_uniform(const Call &call) {
  draw<Real>(call, uniform_block<Real>);
}
template <class Real>
void random_normal(const Call &call) {
  draw<Real>(call, normal_block<Real>);
}

CALM_KERNEL(random_uniform);
CALM_KERNEL(random_normal);

}  // namespace calm::reference
