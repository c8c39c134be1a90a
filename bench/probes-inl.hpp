// The loops of probes.cpp, which includes this once per instruction set with CALM_PROBE_NAMESPACE,
// CALM_PROBE_BYTES (of a vector) and CALM_PROBE_TARGET (a function attribute, or nothing) defined.
// No #pragma once for that reason. A product and a sum of vectors become one instruction where
// there is one: the file is compiled with -ffp-contract=fast.

// NOLINTBEGIN(misc-definitions-in-headers): included into an unnamed namespace
namespace CALM_PROBE_NAMESPACE {

using Floats [[gnu::vector_size(CALM_PROBE_BYTES)]] = float;
using Ints [[gnu::vector_size(CALM_PROBE_BYTES)]] = std::int32_t;
constexpr std::size_t kLanes = CALM_PROBE_BYTES / sizeof(float);

CALM_PROBE_TARGET inline Floats load(const float *src) {
  Floats out;
  std::memcpy(&out, src, sizeof out);
  return out;
}

CALM_PROBE_TARGET inline void store(float *dst, Floats value) {
  std::memcpy(dst, &value, sizeof value);
}

CALM_PROBE_TARGET void multiply_add(std::size_t rounds, float *data) {
  const Floats scale = load(data);
  const Floats shift = load(data + kLanes);
  Floats sum[kChains];
  for (std::size_t c = 0; c < kChains; ++c) {
    sum[c] = shift + static_cast<float>(c);
  }
  for (std::size_t r = 0; r < rounds; ++r) {
    for (std::size_t c = 0; c < kChains; ++c) {
      sum[c] = sum[c] * scale + shift;
    }
  }
  Floats all = sum[0];
  for (std::size_t c = 1; c < kChains; ++c) {
    all += sum[c];
  }
  store(data + 2 * kLanes, all);
}

// 2^x for |x| < 126: the whole part goes to the exponent, the rest into a polynomial of degree 5.
CALM_PROBE_TARGET inline Floats exp2_of(Floats x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the whole part below
  const Floats shifted = x + kRound;
  const Floats f = x - (shifted - kRound);
  Floats p = f * 1.3333558e-3F + 9.6181291e-3F;
  p = p * f + 5.5504109e-2F;
  p = p * f + 2.4022651e-1F;
  p = p * f + 6.9314718e-1F;
  p = p * f + 1.0F;
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) +
                                  (reinterpret_cast<Ints>(shifted) << 23));
}

// Of kExpVectors vectors at `data`, `rounds` times.
CALM_PROBE_TARGET void exponentials(std::size_t rounds, float *data) {
  Floats sum[4] = {};
  for (std::size_t r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < kExpVectors; i += 4) {
      for (std::size_t c = 0; c < 4; ++c) {
        sum[c] += exp2_of(load(data + (i + c) * kLanes));
      }
    }
  }
  store(data, load(data) + 0.0F * (sum[0] + sum[1] + sum[2] + sum[3]));
}

// The forward selective scan, kLanes channels beside each other, of kScanRows rows:
// h = 2^(dt A) h + dt x B, y = h C (Gu & Dao, arXiv 2312.00752, eq. 2a).
// data: dt and x [rows][lanes], A [states][lanes], B and C [rows][states], y [rows][lanes].
CALM_PROBE_TARGET void scan(std::size_t rounds, float *data) {
  // As many states at once as the registers hold beside the constants.
  constexpr std::size_t kBlock = CALM_PROBE_BYTES == 64 ? kScanStates : kScanStates / 2;
  const float *dt = data;
  const float *x = dt + kScanRows * kLanes;
  const float *a = x + kScanRows * kLanes;
  const float *b = a + kScanStates * kLanes;
  const float *c = b + kScanRows * kScanStates;
  float *y = data + 2 * kScanRows * kLanes + kScanStates * kLanes + 2 * kScanRows * kScanStates;
  for (std::size_t r = 0; r < rounds; ++r) {
    for (std::size_t first = 0; first < kScanStates; first += kBlock) {
      Floats h[kBlock] = {};
      for (std::size_t t = 0; t < kScanRows; ++t) {
        const Floats step = load(dt + t * kLanes);
        const Floats in = step * load(x + t * kLanes);
        Floats out = first == 0 ? Floats{} : load(y + t * kLanes);
        for (std::size_t n = 0; n < kBlock; ++n) {
          const Floats decay = exp2_of(step * load(a + (first + n) * kLanes));
          h[n] = decay * h[n] + in * b[t * kScanStates + first + n];
          out += h[n] * c[t * kScanStates + first + n];
        }
        store(y + t * kLanes, out);
      }
    }
  }
}

// Reads `bytes` at `data`, `rounds` times; `bytes` is a multiple of kReadStep.
CALM_PROBE_TARGET float read_all(std::size_t rounds, const float *data, std::size_t bytes) {
  constexpr std::size_t kTogether = 8;
  static_assert(kReadStep % (kTogether * CALM_PROBE_BYTES) == 0);
  Floats sum[kTogether] = {};
  for (std::size_t r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < bytes / sizeof(float); i += kTogether * kLanes) {
      for (std::size_t c = 0; c < kTogether; ++c) {
        sum[c] += load(data + i + c * kLanes);
      }
    }
    // What was read must not be kept in mind for the next round.
    asm volatile("" ::: "memory");
  }
  Floats all = sum[0];
  for (std::size_t c = 1; c < kTogether; ++c) {
    all += sum[c];
  }
  return all[0];
}

constexpr ProbeKernels kKernels{kLanes, multiply_add, exponentials, scan, read_all};

}  // namespace CALM_PROBE_NAMESPACE
// NOLINTEND(misc-definitions-in-headers)
