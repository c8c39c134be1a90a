#include "cuda/memory.hpp"

#include <algorithm>

#include "cuda/error.hpp"

namespace calm::cuda {

DeviceMemory::DeviceMemory(std::uint64_t bytes, cudaStream_t stream) : bytes_(bytes) {
  // An empty buffer still has an address of its own.
  const std::size_t asked = std::max<std::size_t>(static_cast<std::size_t>(bytes), 1);
  void *memory = nullptr;
  check_memory(cudaMalloc(&memory, asked), bytes);
  data_ = static_cast<std::byte *>(memory);
  const cudaError_t zeroed = cudaMemsetAsync(memory, 0, asked, stream);
  if (zeroed != cudaSuccess) {
    static_cast<void>(cudaFree(memory));
    check(zeroed, "clearing memory");
  }
}

// At the end of life nothing can be done about a failure; a sticky one shows in the next call.
DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) {
    static_cast<void>(cudaFree(data_));
  }
}

PinnedMemory::PinnedMemory(std::uint64_t bytes) : bytes_(bytes) {
  void *memory = nullptr;
  check_pinned(cudaMallocHost(&memory, std::max<std::size_t>(static_cast<std::size_t>(bytes), 1)),
               bytes);
  data_ = static_cast<std::byte *>(memory);
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) {
    static_cast<void>(cudaFreeHost(data_));
  }
}

}  // namespace calm::cuda
