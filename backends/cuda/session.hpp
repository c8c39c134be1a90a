// A session: one stream of one device. Everything it does happens in the order of that stream.
#pragma once

#include <calm/backend.h>

#include <cuda_runtime.h>

#include <calm/cpp/error.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/blas.hpp"
#include "cuda/memory.hpp"
#include "cuda/ranks.hpp"
#include "cuda/stream.hpp"
#include "cuda/uploads.hpp"

namespace calm::cuda {

class Session;

struct Buffer {
  Session *session;
  DeviceMemory memory;
};

/// Runs that may be under way at a time: each has an event and a block of step values of its own.
inline constexpr std::uint64_t kInFlight = 32;

class Session {
 public:
  /// `comm`: null for a process alone. `timed`: Blas's.
  Session(std::uint32_t device, Precision precision, const calm_comm *comm, const calm_host *timed);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  cudaStream_t stream() const { return stream_.handle(); }
  /// Takes part in a capture only, for nodes that run beside those of the first.
  cudaStream_t side_stream() const { return side_stream_.handle(); }
  /// For orders between the two streams while capturing.
  Event &order(std::size_t i) { return order_[i]; }
  Precision precision() const { return precision_; }
  Blas &blas() { return blas_; }
  /// Every call of the ABI begins here: which device a thread uses is the thread's own. Once the
  /// device is lost it is not asked again: throws DEVICE_LOST.
  void enter() const;
  /// Every call of the ABI that failed ends here.
  void failed(const Error &error);
  void synchronize();
  /// With several ranks: waits until what is given back waits for nobody. The runtime would wait
  /// for ever for a rank that is gone. Failures show in the next call.
  void settle() noexcept;
  /// Null for a process alone.
  Ranks *ranks() const { return ranks_.get(); }
  /// With several ranks, collective: y [n] = the sum of x [n] over them, after what the stream has
  /// been given and beside what it is given from now on.
  void sum(const float *x, float *y, std::size_t n);
  /// What the stream is given from now on begins after all sums.
  void join_sums();

  /// Device memory for the scratch of one node after another, shared by all executables. It grows;
  /// executables keep the block that they were captured with.
  std::shared_ptr<DeviceMemory> scratch(std::uint64_t bytes);
  /// Launch's.
  unsigned *counter() const { return reinterpret_cast<unsigned *>(counter_.data()); }
  /// Makes room for step values in every run's block.
  void reserve_step(std::uint64_t bytes);

  /// What is put on the stream by anyone else and meets a buffer's memory comes after a flush().
  Uploads &uploads() { return uploads_; }

  /// The page-locked block of the run that begins now, once the run that used it before has ended.
  std::byte *next_step_block();
  /// Marks the end of the run that began with next_step_block and returns its fence.
  std::uint64_t finish_run();
  void wait(std::uint64_t fence);

 private:
  struct Current {
    explicit Current(std::uint32_t device);
  };
  /// Ahead of the kernels beside them, which would leave them no room before their end.
  struct Sums {
    Stream stream{Priority::kGreatest};
    Event begun, ended;
    bool under_way = false;
  };

  int device_;
  bool lost_ = false;
  std::unique_ptr<Ranks> ranks_;
  Current current_;                    // before what is made on the device
  Stream stream_{Priority::kGreater};  // ahead of what runs beside it
  Stream side_stream_;
  std::unique_ptr<Sums> sums_;  // of several ranks
  std::array<Event, 3> order_;
  Blas blas_;
  Precision precision_;
  DeviceMemory counter_;
  Uploads uploads_;
  std::shared_ptr<DeviceMemory> scratch_;
  PinnedMemory step_;
  std::uint64_t step_stride_ = 0;
  std::array<Event, kInFlight> ended_;
  std::uint64_t fence_ = 0;
};

/// Options: precision = fp32 (default), tf32 or bf16; algorithms = first (default) or timed. The
/// caller knows that there is such a device. Throws INVALID_ARGUMENT.
Session *open_session(std::uint32_t device, calm_table options, const calm_host *host);

Buffer *alloc_buffer(Session &session, std::uint64_t bytes);
void free_buffer(Session &session, Buffer *buffer);
void write_buffer(Session &session, Buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes);
void read_buffer(Session &session, const Buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes);
void copy_buffer(Session &session, Buffer *dst, std::uint64_t dst_offset, const Buffer *src,
                 std::uint64_t src_offset, std::uint64_t bytes);

}  // namespace calm::cuda
