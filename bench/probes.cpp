// Short loops that do one thing as fast as the machine can: the measured side of every limit.
#include "bench/probes.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <thread>

namespace calm::bench {

namespace {

struct ProbeKernels {
  std::size_t lanes;
  void (*multiply_add)(std::size_t rounds, float *data);
  void (*exponentials)(std::size_t rounds, float *data);
  void (*scan)(std::size_t rounds, float *data);
  float (*read_all)(std::size_t rounds, const float *data, std::size_t bytes);
};

constexpr std::size_t kExpVectors = 64;
constexpr std::size_t kScanRows = 64;
constexpr std::size_t kScanStates = 16;
constexpr std::size_t kReadStep = 1024;
// Independent sums hide the latency of 4 cycles on two units.
constexpr std::size_t kChains = 10;

#define CALM_PROBE_NAMESPACE baseline
#define CALM_PROBE_BYTES 16
#define CALM_PROBE_TARGET
#include "bench/probes-inl.hpp"
#undef CALM_PROBE_NAMESPACE
#undef CALM_PROBE_BYTES
#undef CALM_PROBE_TARGET

#if defined(__x86_64__)
#define CALM_PROBE_NAMESPACE avx2
#define CALM_PROBE_BYTES 32
#define CALM_PROBE_TARGET __attribute__((target("avx2,fma")))
#include "bench/probes-inl.hpp"
#undef CALM_PROBE_NAMESPACE
#undef CALM_PROBE_BYTES
#undef CALM_PROBE_TARGET

#define CALM_PROBE_NAMESPACE avx512
#define CALM_PROBE_BYTES 64
#define CALM_PROBE_TARGET __attribute__((target("avx512f,fma")))
#include "bench/probes-inl.hpp"
#undef CALM_PROBE_NAMESPACE
#undef CALM_PROBE_BYTES
#undef CALM_PROBE_TARGET
#endif

const ProbeKernels &kernels(std::string &name) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0) {
    name = "AVX-512";
    return avx512::kKernels;
  }
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    name = "AVX2";
    return avx2::kKernels;
  }
#endif
  name = "baseline";
  return baseline::kKernels;
}

constexpr int kRepetitions = 7;
constexpr double kSeconds = 0.008;  // of one repetition: short ones are interrupted less often
constexpr std::size_t kAlignment = 64;

struct Free {
  void operator()(float *p) const { ::operator delete[](p, std::align_val_t(kAlignment)); }
};
using Memory = std::unique_ptr<float[], Free>;

Memory allocate(std::size_t bytes) {
  Memory memory(static_cast<float *>(::operator new[](bytes, std::align_val_t(kAlignment))));
  std::fill_n(memory.get(), bytes / sizeof(float), 0.25F);
  return memory;
}

using Clock = std::chrono::steady_clock;

// Seconds that `work(thread)` takes on each of the threads, all started together.
std::vector<double> together(unsigned threads, const std::function<void(unsigned)> &work) {
  std::atomic<unsigned> ready{0};
  std::vector<double> seconds(threads);
  const auto body = [&](unsigned i) {
    ready.fetch_add(1);
    while (ready.load() < threads) {
    }
    const Clock::time_point start = Clock::now();
    work(i);
    seconds[i] = std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) {
    others.emplace_back(body, i);
  }
  body(0);
  for (std::thread &thread : others) {
    thread.join();
  }
  return seconds;
}

// Units a second, of `unit` units a round on each thread: what each did in its best run beside the
// others, so that a thread that was put off once does not count.
double best_rate(unsigned threads, double unit,
                 const std::function<void(unsigned thread, std::size_t rounds)> &run) {
  std::size_t rounds = 1;
  const auto seconds = [&] { return together(threads, [&](unsigned i) { run(i, rounds); }); };
  std::vector<double> least = seconds();
  while (least[0] < kSeconds) {
    rounds *= least[0] < kSeconds / 16 ? 8U : 2U;
    least = seconds();
  }
  for (int i = 1; i < kRepetitions; ++i) {
    const std::vector<double> took = seconds();
    std::transform(least.begin(), least.end(), took.begin(), least.begin(),
                   [](double a, double b) { return std::min(a, b); });
  }
  return std::accumulate(least.begin(), least.end(), 0.0, [&](double sum, double took) {
    return sum + unit * static_cast<double>(rounds) / took;
  });
}

constexpr double kKilo = 1024;
constexpr double kMega = 1024 * 1024;
constexpr std::size_t kSmallBytes = 64 * 1024;  // what the loops in registers and L1 work on

// Of the first processor's data cache of that level, as Linux tells it ("1024K").
double cache_bytes(int level, double otherwise) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    int found = 0;
    std::string type, size;
    std::ifstream(folder + "level") >> found;
    std::ifstream(folder + "type") >> type;
    std::ifstream(folder + "size") >> size;
    if (found == level && type != "Instruction" && !size.empty()) {
      return std::strtod(size.c_str(), nullptr) * (size.back() == 'M' ? kMega : kKilo);
    }
  }
  return otherwise;
}

std::vector<Level> levels(unsigned threads) {
  const double l1 = cache_bytes(1, 32 * kKilo);
  const double l2 = cache_bytes(2, kMega);
  const double l3 = cache_bytes(3, 16 * kMega);
  // Half of a cache is surely there; beyond the last one, what cannot be kept from pass to pass.
  const double beyond = std::clamp(8 * l3, 128 * kMega, 512 * kMega);
  return {{"L1", l1 * threads, l1 / 2, 0},
          {"L2", l2 * threads, l2 / 2, 0},
          {"L3", l3, l3 / 2 / threads, 0},
          {"DRAM", std::numeric_limits<double>::infinity(), beyond / threads, 0}};
}

Rates measure(unsigned threads) {
  Rates rates;
  rates.threads = threads;
  const ProbeKernels &k = kernels(rates.instructions);
  const auto lanes = static_cast<double>(k.lanes);
  std::vector<Memory> small;
  for (unsigned i = 0; i < threads; ++i) {
    small.push_back(allocate(kSmallBytes));
  }
  constexpr std::size_t kInner = 1000;
  rates.flops =
      best_rate(threads, 2 * lanes * static_cast<double>(kChains * kInner),
                [&](unsigned i, std::size_t n) { k.multiply_add(n * kInner, small[i].get()); });
  rates.exponentials =
      best_rate(threads, lanes * static_cast<double>(kExpVectors),
                [&](unsigned i, std::size_t n) { k.exponentials(n, small[i].get()); });
  rates.scan = best_rate(threads, lanes * static_cast<double>(kScanRows * kScanStates),
                         [&](unsigned i, std::size_t n) { k.scan(n, small[i].get()); });
  rates.levels = levels(threads);
  for (Level &level : rates.levels) {
    const std::size_t bytes = static_cast<std::size_t>(level.probed) / kReadStep * kReadStep;
    std::vector<Memory> large;
    for (unsigned i = 0; i < threads; ++i) {
      large.push_back(allocate(bytes));
    }
    std::vector<float> sums(threads);
    level.probed = static_cast<double>(bytes);
    level.bytes_per_second = best_rate(threads, level.probed, [&](unsigned i, std::size_t n) {
      sums[i] = k.read_all(n, large[i].get(), bytes);
    });
  }
  return rates;
}

}  // namespace

const Level &Rates::level_for(double bytes) const {
  return *std::find_if(levels.begin(), levels.end() - 1,
                       [&](const Level &level) { return bytes <= level.capacity; });
}

const Rates &measured_rates(unsigned threads) {
  static std::map<unsigned, Rates> known;
  const auto found = known.find(threads);
  return found != known.end() ? found->second
                              : known.emplace(threads, measure(threads)).first->second;
}

}  // namespace calm::bench
