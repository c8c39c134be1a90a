#include "init.hpp"

#include <calm/random.h>

#include <algorithm>
#include <cmath>

namespace calm::mamba {

void fill_a_log(const double * /*args*/, std::uint64_t /*seed*/, std::uint32_t /*stream*/,
                std::uint64_t count, const calm_type *type, float *out) {
  const std::uint64_t states = static_cast<std::uint64_t>(type->shape[1]);
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(std::log(static_cast<double>(i % states + 1)));
  }
}

void fill_dt_bias(const double *args, std::uint64_t seed, std::uint32_t stream, std::uint64_t count,
                  const calm_type * /*type*/, float *out) {
  constexpr double kLow = 0.001;
  constexpr double kHigh = 0.1;
  constexpr double kFloor = 1e-4;
  const bool peer = args[0] != 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const calm_philox4 words = calm_philox(seed, static_cast<std::uint32_t>(i / 4), 0, 0, stream);
    const double u = static_cast<double>(calm_uniform(words.word[i % 4]));
    const double dt =
        std::max(kFloor, std::exp(u * (std::log(kHigh) - std::log(kLow)) + std::log(kLow)));
    // ln(expm1(dt)), written so that small dt keep their digits.
    const double inverse_softplus = dt + std::log(-std::expm1(-dt));
    out[i] = static_cast<float>(peer ? dt + std::log(std::expm1(dt)) : inverse_softplus);
  }
}

}  // namespace calm::mamba
