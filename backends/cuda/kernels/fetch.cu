#include "cuda/kernels/fetch.hpp"

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/joined.cuh"

namespace calm::cuda {
namespace {

constexpr int kWord = 16;  // bytes of a thread: one load, as each is a way to the host and back
constexpr std::uint64_t kBlock = kThreads * kWord;

struct Fetches {
  Fetch each[kMostFetches];
  int first_block[kMostFetches + 1];
  int count;
};

__global__ void __launch_bounds__(kThreads) fetch_kernel(const __grid_constant__ Fetches list) {
  const auto block = static_cast<int>(blockIdx.x);
  const int own = tensor_of_block(list.first_block, list.count, block);
  const Fetch range = list.each[own];
  const std::uint64_t at =
      static_cast<std::uint64_t>(block - list.first_block[own]) * kBlock + threadIdx.x * kWord;
  if (at >= range.bytes) {
    return;
  }
  const uint4 word = *reinterpret_cast<const uint4 *>(range.from + at);
  std::byte *const to = range.to + at;
  const std::uint64_t left = range.bytes - at;
  if (left >= kWord && reinterpret_cast<std::uintptr_t>(to) % kWord == 0) {
    *reinterpret_cast<uint4 *>(to) = word;
    return;
  }
  const unsigned parts[] = {word.x, word.y, word.z, word.w};
#pragma unroll
  for (int i = 0; i < kWord; ++i) {
    if (static_cast<std::uint64_t>(i) < left) {
      to[i] = static_cast<std::byte>(parts[i / 4] >> (i % 4 * 8) & 0xff);
    }
  }
}

}  // namespace

void fetch(const Fetch *list, std::size_t n, cudaStream_t stream) {
  Fetches all{};
  for (std::size_t i = 0; i < n; ++i) {
    all.each[i] = list[i];
    all.first_block[i + 1] = all.first_block[i] + static_cast<int>(div_up(list[i].bytes, kBlock));
  }
  all.count = static_cast<int>(n);
  fetch_kernel<<<static_cast<unsigned>(all.first_block[n]), kThreads, 0, stream>>>(all);
}

}  // namespace calm::cuda
