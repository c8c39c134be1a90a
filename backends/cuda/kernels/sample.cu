// One token a row: temperature, min-p, top-k, top-p, one draw (spec D.1), and its log-probability
// before filtering (spec D.2). One block a row.
#include <calm/ops/sample.h>
#include <calm/random.h>

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/random.cuh"

namespace calm::cuda {
namespace {

struct Operands {
  const float *logits, *temperature, *top_p, *min_p, *draw;
  const std::int32_t *top_k, *micro_step;
  const std::int64_t *seed;
  std::int32_t *ids;
  float *log_probs;
  float *work;  // [rows, 2, vocab]: probabilities, and what top-p makes of them
  int vocab;
};

/// The largest of a row, of equals the first, as the plain loop finds it: an element only takes the
/// place of the best so far by being greater. A NaN at the front stays, one elsewhere is passed
/// over.
__device__ int argmax(const float *x, int n) {
  __shared__ float values[kThreads];
  __shared__ int places[kThreads];
  const int tid = static_cast<int>(threadIdx.x);
  float best = -INFINITY;
  int place = n;
  for (int i = tid; i < n; i += kThreads) {
    if (x[i] > best || (place == n && x[i] == best)) {
      best = x[i];
      place = i;
    }
  }
  values[tid] = best;
  places[tid] = place;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (tid < half) {
      const bool other = values[tid + half] > values[tid] ||
                         (values[tid + half] == values[tid] && places[tid + half] < places[tid]);
      if (other) {
        values[tid] = values[tid + half];
        places[tid] = places[tid + half];
      }
    }
    __syncthreads();
  }
  const int found = isnan(x[0]) || places[0] == n ? 0 : places[0];
  __syncthreads();
  return found;
}

/// The number of a block's threads for which it holds, over all of their elements.
__device__ int block_count(int own) {
  __shared__ int counts[kWarps];
  for (int step = kWarp / 2; step > 0; step /= 2) {
    own += __shfl_xor_sync(kAll, own, step);
  }
  if (threadIdx.x % kWarp == 0) {
    counts[threadIdx.x / kWarp] = own;
  }
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < kWarps; ++i) {
    sum += counts[i];
  }
  __syncthreads();
  return sum;
}

/// The k-th largest of numbers that are not negative: their order is that of their bits, so it is
/// found bit by bit.
__device__ float kth_largest(const float *p, int n, int k) {
  std::uint32_t bits = 0;
  for (int bit = 30; bit >= 0; --bit) {
    const std::uint32_t next = bits | (1U << bit);
    int own = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
      own += __float_as_uint(p[i]) >= next ? 1 : 0;
    }
    bits = block_count(own) >= k ? next : bits;
  }
  return __uint_as_float(bits);
}

/// out = p, but 0 where more than top_p lies before it in falling order, equal ones by rising id.
/// The first one always stays.
__device__ void keep_top_p(const float *p, float *out, int n, double top_p) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    const float own = p[i];
    double before = 0;
    bool first = true;
    for (int j = 0; own > 0 && j < n; ++j) {
      if (p[j] > own || (p[j] == own && j < i)) {
        before += static_cast<double>(p[j]);
        first = false;
      }
    }
    out[i] = !first && before > top_p ? 0 : own;
  }
  __syncthreads();
}

/// The first id whose running sum of what is kept exceeds u of it all; n when nothing is kept.
__device__ int walk(const float *p, int n, double u) {
  double total = 0;
  for (int i = 0; i < n; ++i) {
    total += static_cast<double>(p[i]);
  }
  double running = 0;
  int id = n;
  for (int i = 0; i < n && total > 0; ++i) {
    if (p[i] > 0) {
      id = i;
      running += static_cast<double>(p[i]);
      if (running > u * total) {
        break;
      }
    }
  }
  return id;
}

__global__ void __launch_bounds__(kThreads) sample_kernel(Operands o) {
  __shared__ int shared_id;
  const int row = static_cast<int>(blockIdx.x);
  const int n = o.vocab;
  const int tid = static_cast<int>(threadIdx.x);
  const float *const logits =
      o.logits + static_cast<std::size_t>(row) * static_cast<std::size_t>(n);
  float *p = o.work + static_cast<std::size_t>(row) * static_cast<std::size_t>(2 * n);
  float *const other = p + n;
  const float temperature = *o.temperature;
  const auto top_p = static_cast<double>(*o.top_p);
  const float min_p = *o.min_p;
  const std::int32_t top_k = *o.top_k;
  const int best = argmax(logits, n);
  const bool cold = !(temperature > 0);
  const float scale = cold ? 1.0F : temperature;
  // Scaled after the subtraction: however small T is, the largest is 0 and not infinite.
  double sum = 0;
  float top = 0;
  for (int i = tid; i < n; i += kThreads) {
    p[i] = expf((logits[i] - logits[best]) / scale);
    sum += static_cast<double>(p[i]);
  }
  sum = block_sum(sum);
  const bool filtered = top_k > 0 || top_p > 0 || min_p > 0;
  if (!cold && filtered && isfinite(sum)) {
    for (int i = tid; i < n; i += kThreads) {
      p[i] = static_cast<float>(static_cast<double>(p[i]) / sum);
    }
    __syncthreads();
    if (min_p > 0) {
      top = p[best];
      __syncthreads();
      for (int i = tid; i < n; i += kThreads) {
        p[i] = p[i] < min_p * top ? 0 : p[i];
      }
      __syncthreads();
    }
    if (top_k > 0) {
      const float cutoff = kth_largest(p, n, min(top_k, n));
      for (int i = tid; i < n; i += kThreads) {
        p[i] = p[i] < cutoff ? 0 : p[i];
      }
      __syncthreads();
    }
    if (top_p > 0) {
      keep_top_p(p, other, n, top_p);
      p = other;
    }
    if (tid == 0) {
      const Philox drawn =
          philox(static_cast<std::uint64_t>(*o.seed), 0, static_cast<std::uint32_t>(row),
                 static_cast<std::uint32_t>(*o.micro_step), CALM_STREAM_SAMPLE);
      const float u = o.draw != nullptr ? o.draw[row] : uniform_of(drawn.word[0]);
      shared_id = walk(p, n, static_cast<double>(u));
    }
    __syncthreads();
  } else if (tid == 0) {
    shared_id = n;
  }
  if (tid == 0) {
    // Greedy, and the way out when nothing is left or a logit is not finite.
    const int id = shared_id == n ? best : shared_id;
    if (o.ids != nullptr) {
      o.ids[row] = id;
    }
    if (o.log_probs != nullptr) {
      o.log_probs[row] =
          static_cast<float>(static_cast<double>((logits[id] - logits[best]) / scale) - ::log(sum));
    }
  }
}

}  // namespace

std::size_t sample_plan(const Node &node) {
  Scratch scratch;
  scratch.take<float>(2 * count(node.ins[CALM_SAMPLE_LOGITS]));
  return scratch.used();
}

void sample(const Launch &launch) {
  const int rows = launch.extent(CALM_SAMPLE_LOGITS, 0);
  const Operands o{.logits = launch.in<float>(CALM_SAMPLE_LOGITS),
                   .temperature = launch.in<float>(CALM_SAMPLE_TEMPERATURE),
                   .top_p = launch.in<float>(CALM_SAMPLE_TOP_P),
                   .min_p = launch.in<float>(CALM_SAMPLE_MIN_P),
                   .draw = launch.in<float>(CALM_SAMPLE_DRAW),
                   .top_k = launch.in<std::int32_t>(CALM_SAMPLE_TOP_K),
                   .micro_step = launch.in<std::int32_t>(CALM_SAMPLE_MICRO_STEP),
                   .seed = launch.in<std::int64_t>(CALM_SAMPLE_SEED),
                   .ids = launch.out<std::int32_t>(CALM_SAMPLE_IDS),
                   .log_probs = launch.out<float>(CALM_SAMPLE_LOG_PROB),
                   .work = Scratch(launch.scratch()).take<float>(1),
                   .vocab = launch.extent(CALM_SAMPLE_LOGITS, 1)};
  if (rows > 0 && o.vocab > 0) {
    sample_kernel<<<static_cast<unsigned>(rows), kThreads, 0, launch.stream()>>>(o);
  }
}

}  // namespace calm::cuda
