#include "cuda/uploads.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint64_t kHalfBytes = std::uint64_t{4} << 20;
/// The tokens of a large batch are; of what is larger, the copy engine's start is a small part.
constexpr std::uint64_t kSmall = std::uint64_t{128} << 10;
/// So that no line of memory is written by the host while the device reads from it.
constexpr std::uint64_t kAlign = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

bool overlap(const Fetch &range, const std::byte *begin, std::uint64_t bytes) {
  return range.to < begin + bytes && begin < range.to + range.bytes;
}

}  // namespace

Uploads::Uploads(cudaStream_t stream, Ranks *ranks) : stream_(stream), ranks_(ranks) {
  for (Half &half : halves_) {
    half.memory = PinnedMemory(kHalfBytes);
  }
}

Uploads::Half &Uploads::half() {
  if (halves_[half_].used == kHalfBytes) {
    flush();  // what waits may lie there
    halves_[half_].freed.record(stream_);
    half_ = 1 - half_;
    halves_[half_].freed.wait(ranks_);
    halves_[half_].used = 0;
  }
  return halves_[half_];
}

void Uploads::add(std::byte *dst, const void *src, std::uint64_t bytes) {
  const auto *from = static_cast<const std::byte *>(src);
  const bool small = bytes <= kSmall;
  if (!small) {
    flush();
  }
  while (bytes > 0) {
    Half &half = this->half();
    const std::uint64_t part = std::min(bytes, kHalfBytes - half.used);
    std::byte *const staged = half.memory.data() + half.used;
    std::memcpy(staged, from, static_cast<std::size_t>(part));
    half.used = std::min(kHalfBytes, aligned(half.used + part));
    if (small) {
      add_pinned(dst, staged, part);
    } else {
      check(cudaMemcpyAsync(dst, staged, static_cast<std::size_t>(part), cudaMemcpyHostToDevice,
                            stream_),
            "writing to the device");
    }
    from += part;
    dst += part;
    bytes -= part;
  }
}

void Uploads::add_pinned(std::byte *dst, const std::byte *src, std::uint64_t bytes) {
  if (bytes == 0) {
    return;
  }
  const bool again = std::any_of(waiting_.begin(), waiting_.begin() + count_,
                                 [&](const Fetch &range) { return overlap(range, dst, bytes); });
  if (again || count_ == kMostFetches) {
    flush();
  }
  waiting_[count_++] = {src, dst, bytes};
}

void Uploads::flush() {
  // Nothing waits any more where this fails, for memory that may end then.
  if (const std::size_t n = std::exchange(count_, 0); n > 0) {
    fetch(waiting_.data(), n, stream_);
    check(cudaGetLastError(), "writing to the device");
  }
}

void Uploads::forget(const DeviceMemory &memory) {
  Fetch *const end = std::remove_if(
      waiting_.data(), waiting_.data() + count_,
      [&](const Fetch &range) { return overlap(range, memory.data(), memory.bytes()); });
  count_ = static_cast<std::size_t>(end - waiting_.data());
}

}  // namespace calm::cuda
