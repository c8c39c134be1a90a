#pragma once

#include <calm/builder.h>

#include <cstdint>

namespace calm::mamba {

/// A_log[e, n] = ln(n + 1), type [E, N] (spec E.1). A calm_init_fn.
void fill_a_log(const double *args, std::uint64_t seed, std::uint32_t stream, std::uint64_t count,
                const calm_type *type, float *out);

/// dt_proj.bias (spec E.9): softplus of it is log-uniform in [0.001, 0.1]. args[0] != 0 takes the
/// peer's formula, which lands up to 10 % above. A calm_init_fn.
void fill_dt_bias(const double *args, std::uint64_t seed, std::uint32_t stream, std::uint64_t count,
                  const calm_type *type, float *out);

}  // namespace calm::mamba
