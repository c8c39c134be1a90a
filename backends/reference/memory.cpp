#include "memory.hpp"

#include <calm/cpp/error.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace calm::reference {
namespace {

/// From here on a block is mapped: pages come zeroed, and as few of them as are used.
constexpr std::uint64_t kMapped = std::uint64_t{1} << 20;
constexpr std::uint64_t kPage = 4096;

/// Where the system has pages of this size they are asked for: fewer misses of the address cache,
/// and what fits the second cache stays there, because its lines lie side by side in memory too.
constexpr std::uint64_t kLargePage = std::uint64_t{2} << 20;

std::byte *map_pages(std::uint64_t bytes) {
  void *const memory = ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte *>(memory);
}

std::byte *map(std::uint64_t bytes) {
  if (bytes > PTRDIFF_MAX - kLargePage) {
    return nullptr;
  }
  if (bytes < kLargePage) {
    return map_pages(bytes);
  }
  // Aligned: what lies before and behind goes back.
  const std::uint64_t whole = (bytes + kPage - 1) / kPage * kPage;
  std::byte *const memory = map_pages(whole + kLargePage);
  if (memory == nullptr) {
    return nullptr;
  }
  const std::uint64_t before =
      (kLargePage - reinterpret_cast<std::uintptr_t>(memory) % kLargePage) % kLargePage;
  if (before != 0) {
    ::munmap(memory, before);
  }
  ::munmap(memory + before + whole, kLargePage - before);
  ::madvise(memory + before, whole, MADV_HUGEPAGE);  // a wish
  return memory + before;
}

}  // namespace

HostMemory::HostMemory(const calm_host &host, std::uint64_t bytes, std::uint64_t align)
    : host_(&host), bytes_(bytes), mapped_(bytes >= kMapped && align <= kPage) {
  // An empty buffer still has an address of its own.
  const std::uint64_t asked = std::max<std::uint64_t>(bytes, 1);
  data_ = mapped_ ? map(asked) : static_cast<std::byte *>(host.alloc(host.self, asked, align));
  if (data_ == nullptr) {
    throw Error(CALM_OUT_OF_MEMORY,
                "expected " + std::to_string(bytes) + " bytes of memory, found fewer");
  }
  if (!mapped_) {
    std::memset(data_, 0, static_cast<std::size_t>(asked));
  }
}

HostMemory::~HostMemory() {
  if (data_ != nullptr && mapped_) {
    ::munmap(data_, static_cast<std::size_t>(bytes_));
  } else if (data_ != nullptr) {
    host_->free(host_->self, data_);
  }
}

}  // namespace calm::reference
