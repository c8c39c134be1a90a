#include "cuda/session.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "cuda/comm.hpp"
#include "cuda/error.hpp"
#include "reference/validate.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint64_t kAlign = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

struct Options {
  Precision precision = Precision::kFp32;
  bool timed = false;
};

/// The value of `words` that the option names. `expected`: all of them.
template <class T, std::size_t n>
T choice_of(const calm_value &option, const std::pair<std::string_view, T> (&words)[n],
            const char *expected) {
  const std::string word = option.type == CALM_VALUE_STR ? copy(option.str) : std::string();
  const auto *const found = std::find_if(std::begin(words), std::end(words),
                                         [&](const auto &known) { return known.first == word; });
  if (found == std::end(words)) {
    throw Error(CALM_INVALID_ARGUMENT, "option " + copy(option.name) + ": expected " + expected +
                                           ", found \"" + word + "\"");
  }
  return found->second;
}

Options options_of(calm_table table) {
  constexpr std::pair<std::string_view, Precision> kPrecisions[] = {
      {"fp32", Precision::kFp32}, {"tf32", Precision::kTf32}, {"bf16", Precision::kBf16}};
  constexpr std::pair<std::string_view, bool> kAlgorithms[] = {{"first", false}, {"timed", true}};
  Options options;
  for (std::uint32_t i = 0; i < table.count; ++i) {
    const auto &option = record<calm_value>(table, i);
    if (view(option.name) == "precision") {
      options.precision = choice_of(option, kPrecisions, "fp32, tf32 or bf16");
    } else if (view(option.name) == "algorithms") {
      options.timed = choice_of(option, kAlgorithms, "first or timed");
    } else {
      throw Error(CALM_INVALID_ARGUMENT,
                  "the cuda backend has no option \"" + copy(option.name) + "\"");
    }
  }
  return options;
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

Session::Current::Current(std::uint32_t device) {
  check(cudaSetDevice(static_cast<int>(device)), "choosing the device");
}

Session::Session(std::uint32_t device, Precision precision, const calm_comm *comm,
                 const calm_host *timed)
    : device_(static_cast<int>(device)),
      ranks_(comm == nullptr ? nullptr : std::make_unique<Ranks>(*comm)),
      current_(device),
      sums_(comm == nullptr ? nullptr : std::make_unique<Sums>()),
      blas_(stream_.handle(), precision, timed),
      precision_(precision),
      counter_(sizeof(unsigned), stream_.handle()),
      uploads_(stream_.handle(), ranks_.get()) {
  reserve_step(kAlign);
}

Session::~Session() {
  settle();
  ranks_.reset();  // before the streams, which wait for what it ends
  if (lost_) {
    blas_.abandon();
  }
}

void Session::enter() const {
  if (lost_) {
    throw Error(CALM_DEVICE_LOST,
                "cuda: device " + std::to_string(device_) + " was lost and is not used any more");
  }
  check(cudaSetDevice(device_), "choosing the device");
}

void Session::failed(const Error &error) { lost_ = lost_ || error.status() == CALM_DEVICE_LOST; }

void Session::synchronize() {
  if (ranks_ != nullptr) {
    ranks_->wait(stream());
    ranks_->wait(sums_->stream.handle());  // of a run that failed half way
  } else {
    check(cudaStreamSynchronize(stream()), "waiting for the device");
  }
}

void Session::settle() noexcept {
  if (ranks_ == nullptr || lost_) {
    return;
  }
  try {
    synchronize();
  } catch (const Error &e) {
    failed(e);
  } catch (const std::bad_alloc &) {
    // It was a message's memory that ended.
    lost_ = true;
  }
}

void Session::sum(const float *x, float *y, std::size_t n) {
  sums_->begun.record(stream());
  sums_->begun.hold(sums_->stream.handle());
  sums_->under_way = true;
  ranks_->sum(x, y, n, sums_->stream.handle());
}

void Session::join_sums() {
  if (sums_ != nullptr && sums_->under_way) {
    sums_->ended.record(sums_->stream.handle());
    sums_->ended.hold(stream());
    sums_->under_way = false;
  }
}

std::shared_ptr<DeviceMemory> Session::scratch(std::uint64_t bytes) {
  if (scratch_ == nullptr || scratch_->bytes() < bytes) {
    settle();
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

std::byte *Session::next_step_block() {
  const std::size_t slot = static_cast<std::size_t>((fence_ + 1) % kInFlight);
  ended_[slot].wait(ranks());
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
    ended_[static_cast<std::size_t>(fence % kInFlight)].wait(ranks());
  }
}

Session *open_session(std::uint32_t device, calm_table options, const calm_host *host) {
  if (host == nullptr || host->size < sizeof(calm_host)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a host table of this ABI, found none");
  }
  const Options chosen = options_of(options);
  return new Session(device, chosen.precision, comm_of(*host), chosen.timed ? host : nullptr);
}

Buffer *alloc_buffer(Session &session, std::uint64_t bytes) {
  auto buffer = std::make_unique<Buffer>();
  buffer->session = &session;
  buffer->memory = DeviceMemory(bytes, session.stream());
  return buffer.release();
}

void free_buffer(Session &session, Buffer *buffer) {
  if (buffer != nullptr) {
    session.uploads().forget(buffer->memory);
  }
  session.settle();
  delete buffer;
}

void write_buffer(Session &session, Buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes) {
  session.uploads().add(bytes_at(session, dst, offset, bytes), src, bytes);
}

void read_buffer(Session &session, const Buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes) {
  const std::byte *const from = bytes_at(session, src, offset, bytes);
  if (bytes != 0) {
    session.uploads().flush();
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
  session.uploads().flush();
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
