#include "cuda/timing.hpp"

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "cuda/capture.hpp"
#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

constexpr int kRepeats = 10;  // in a graph
constexpr int kRounds = 7;

class Graph {
 public:
  explicit Graph(cudaGraphExec_t graph = nullptr) : graph_(graph) {}
  Graph(Graph &&other) noexcept : graph_(std::exchange(other.graph_, nullptr)) {}
  Graph &operator=(Graph &&other) noexcept {
    std::swap(graph_, other.graph_);
    return *this;
  }
  ~Graph() {
    if (graph_ != nullptr) {
      static_cast<void>(cudaGraphExecDestroy(graph_));
    }
  }
  explicit operator bool() const { return graph_ != nullptr; }
  void run(cudaStream_t stream) const { check(cudaGraphLaunch(graph_, stream), "timing"); }

 private:
  cudaGraphExec_t graph_;
};

/// Unlike Event (session.hpp) it knows when it passed.
class Moment {
 public:
  Moment() { check(cudaEventCreate(&event_), "making an event"); }
  Moment(const Moment &) = delete;
  Moment &operator=(const Moment &) = delete;
  ~Moment() { static_cast<void>(cudaEventDestroy(event_)); }
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "timing"); }
  float milliseconds_since(const Moment &other) const {
    check(cudaEventSynchronize(event_), "timing");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, other.event_, event_), "timing");
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

float median(std::vector<float> &times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace

DeviceMemory typical_numbers(std::uint64_t bytes, cudaStream_t stream) {
  DeviceMemory memory(bytes, stream);
  // Sums of four, as bf16; a pair of them as f32 is the second with more digits.
  std::vector<std::uint16_t> block(std::size_t{1} << 16);
  std::uint64_t random = 0x9e3779b97f4a7c15U;
  for (std::uint16_t &number : block) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    int sum = 0;
    for (int i = 0; i < 4; ++i) {
      sum += static_cast<int>(random >> (16 * i) & 0xffff);
    }
    const float value = static_cast<float>(sum - 2 * 0xffff) / 37837.0F;
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    number = static_cast<std::uint16_t>(bits >> 16);
  }
  std::uint64_t filled = std::min<std::uint64_t>(bytes, block.size() * sizeof block[0]);
  check(cudaMemcpyAsync(memory.data(), block.data(), static_cast<std::size_t>(filled),
                        cudaMemcpyHostToDevice, stream),
        "writing to the device");
  check(cudaStreamSynchronize(stream), "writing to the device");  // the block ends here
  while (filled < bytes) {
    const std::uint64_t part = std::min(filled, bytes - filled);
    check(cudaMemcpyAsync(memory.data() + filled, memory.data(), static_cast<std::size_t>(part),
                          cudaMemcpyDeviceToDevice, stream),
          "copying on the device");
    filled += part;
  }
  return memory;
}

std::vector<float> times_of(std::size_t n, const std::function<void(std::size_t)> &put,
                            cudaStream_t stream) {
  std::vector<Graph> graphs(n);
  for (std::size_t i = 0; i < n; ++i) {
    try {
      Graph graph(capture(stream, [&] {
        for (int repeat = 0; repeat < kRepeats; ++repeat) {
          put(i);
        }
      }));
      graph.run(stream);  // its code is loaded, its data where it will be
      graphs[i] = std::move(graph);
    } catch (const Error &e) {
      if (e.status() != CALM_FAILED) {
        throw;
      }
    }
  }
  Moment begin;
  Moment end;
  std::vector<std::vector<float>> times(n);
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < n; ++i) {
      float time = std::numeric_limits<float>::infinity();
      if (graphs[i]) {
        begin.record(stream);
        graphs[i].run(stream);
        end.record(stream);
        time = end.milliseconds_since(begin) / kRepeats;
      }
      times[i].push_back(time);
    }
  }
  std::vector<float> medians(n);
  std::transform(times.begin(), times.end(), medians.begin(), median);
  return medians;
}

}  // namespace calm::cuda
