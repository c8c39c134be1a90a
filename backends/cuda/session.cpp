#include "cuda/session.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "cuda/device.hpp"
#include "cuda/error.hpp"
#include "reference/validate.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint64_t kHalfBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kAlign = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

bool wants_tf32(calm_table options) {
  bool tf32 = false;
  for (std::uint32_t i = 0; i < options.count; ++i) {
    const auto &option = record<calm_value>(options, i);
    if (view(option.name) != "precision") {
      throw Error(CALM_INVALID_ARGUMENT,
                  "the cuda backend has no option \"" + copy(option.name) + "\"");
    }
    const std::string word = option.type == CALM_VALUE_STR ? copy(option.str) : std::string();
    if (word != "fp32" && word != "tf32") {
      throw Error(CALM_INVALID_ARGUMENT,
                  "option precision: expected fp32 or tf32, found \"" + word + "\"");
    }
    tf32 = word == "tf32";
  }
  return tf32;
}

std::byte *bytes_at(const Session &session, const Buffer *buffer, std::uint64_t offset,
                    std::uint64_t bytes) {
  if (buffer == nullptr || buffer->session != &session) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a buffer of this session");
  }
  const std::uint64_t size = buffer->memory.bytes();
  if (offset > size || bytes > size - offset) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected a range inside a buffer of " + std::to_string(size) + " bytes, found " +
                    std::to_string(bytes) + " bytes at " + std::to_string(offset));
  }
  return buffer->memory.data() + offset;
}

}  // namespace

Stream::Stream() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}
Stream::~Stream() {
  static_cast<void>(cudaStreamSynchronize(stream_));
  static_cast<void>(cudaStreamDestroy(stream_));
}

Event::Event() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event");
}
Event::~Event() { static_cast<void>(cudaEventDestroy(event_)); }
void Event::record(cudaStream_t stream) {
  check(cudaEventRecord(event_, stream), "recording an event");
}
void Event::wait() { check(cudaEventSynchronize(event_), "waiting for the device"); }

Session::Current::Current(std::uint32_t device) {
  check(cudaSetDevice(static_cast<int>(device)), "choosing the device");
}

Session::Session(std::uint32_t device, bool tf32)
    : device_(static_cast<int>(device)), current_(device), blas_(stream_.handle(), tf32) {
  reserve_step(kAlign);
  for (Half &half : halves_) {
    half.memory = PinnedMemory(kHalfBytes);
  }
}

void Session::enter() const { check(cudaSetDevice(device_), "choosing the device"); }

void Session::synchronize() {
  check(cudaStreamSynchronize(stream_.handle()), "waiting for the device");
}

std::shared_ptr<DeviceMemory> Session::scratch(std::uint64_t bytes) {
  if (scratch_ == nullptr || scratch_->bytes() < bytes) {
    scratch_ = std::make_shared<DeviceMemory>(bytes, stream());
  }
  return scratch_;
}

void Session::reserve_step(std::uint64_t bytes) {
  if (aligned(bytes) > step_stride_) {
    synchronize();
    step_stride_ = aligned(bytes);
    step_ = PinnedMemory(step_stride_ * kInFlight);
  }
}

void Session::upload(std::byte *dst, const void *src, std::uint64_t bytes) {
  const auto *from = static_cast<const std::byte *>(src);
  while (bytes > 0) {
    Half *half = &halves_[half_];
    if (half->used == kHalfBytes) {
      half->freed.record(stream());
      half_ = 1 - half_;
      half = &halves_[half_];
      half->freed.wait();
      half->used = 0;
    }
    const std::uint64_t part = std::min(bytes, kHalfBytes - half->used);
    std::byte *const staged = half->memory.data() + half->used;
    std::memcpy(staged, from, static_cast<std::size_t>(part));
    check(cudaMemcpyAsync(dst, staged, static_cast<std::size_t>(part), cudaMemcpyHostToDevice,
                          stream()),
          "writing to the device");
    half->used = std::min(kHalfBytes, aligned(half->used + part));
    from += part;
    dst += part;
    bytes -= part;
  }
}

std::byte *Session::next_step_block() {
  const std::size_t slot = static_cast<std::size_t>((fence_ + 1) % kInFlight);
  ended_[slot].wait();
  return step_.data() + slot * step_stride_;
}

std::uint64_t Session::finish_run() {
  ended_[static_cast<std::size_t>((fence_ + 1) % kInFlight)].record(stream());
  return ++fence_;
}

void Session::wait(std::uint64_t fence) {
  if (fence > fence_) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a fence up to " + std::to_string(fence_) +
                                           ", found " + std::to_string(fence));
  }
  // An older fence has passed: its event was waited for when it was taken again.
  if (fence > 0 && fence + kInFlight > fence_) {
    ended_[static_cast<std::size_t>(fence % kInFlight)].wait();
  }
}

Session *open_session(std::uint32_t device, calm_table options, const calm_host *host) {
  std::string reason;
  const std::uint32_t count = count_devices(&reason);
  if (count == 0) {
    throw Error(CALM_UNAVAILABLE, reason);
  }
  if (device >= count) {
    throw Error(CALM_NOT_FOUND, "expected a device below " + std::to_string(count) + ", found " +
                                    std::to_string(device));
  }
  if (host == nullptr || host->size < sizeof(calm_host)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a host table of this ABI, found none");
  }
  return new Session(device, wants_tf32(options));
}

Buffer *alloc_buffer(Session &session, std::uint64_t bytes) {
  auto buffer = std::make_unique<Buffer>();
  buffer->session = &session;
  buffer->memory = DeviceMemory(bytes, session.stream());
  return buffer.release();
}

void write_buffer(Session &session, Buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes) {
  session.upload(bytes_at(session, dst, offset, bytes), src, bytes);
}

void read_buffer(Session &session, const Buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes) {
  const std::byte *const from = bytes_at(session, src, offset, bytes);
  if (bytes != 0) {
    check(cudaMemcpyAsync(dst, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                          session.stream()),
          "reading from the device");
    session.synchronize();
  }
}

void copy_buffer(Session &session, Buffer *dst, std::uint64_t dst_offset, const Buffer *src,
                 std::uint64_t src_offset, std::uint64_t bytes) {
  std::byte *const to = bytes_at(session, dst, dst_offset, bytes);
  const std::byte *const from = bytes_at(session, src, src_offset, bytes);
  if (bytes == 0 || to == from) {
    return;
  }
  if (to < from + bytes && from < to + bytes) {  // the copy engine wants ranges apart
    const std::shared_ptr<DeviceMemory> between = session.scratch(bytes);
    check(cudaMemcpyAsync(between->data(), from, static_cast<std::size_t>(bytes),
                          cudaMemcpyDeviceToDevice, session.stream()),
          "copying on the device");
    check(cudaMemcpyAsync(to, between->data(), static_cast<std::size_t>(bytes),
                          cudaMemcpyDeviceToDevice, session.stream()),
          "copying on the device");
    return;
  }
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice,
                        session.stream()),
        "copying on the device");
}

}  // namespace calm::cuda
