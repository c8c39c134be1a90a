// The ranks of a run as a session sees them: sums over their devices by NCCL, and waiting that ends
// when a rank does.
#pragma once

#include <calm/comm.h>

#include <cuda_runtime.h>

#include <chrono>
#include <cstddef>

#include "cuda/nccl.hpp"

namespace calm::cuda {

class Ranks {
 public:
  /// Opens NCCL. Throws UNAVAILABLE.
  explicit Ranks(const calm_comm &comm);
  ~Ranks() { abort(); }
  Ranks(const Ranks &) = delete;
  Ranks &operator=(const Ranks &) = delete;

  /// Collective: makes the communicator of the devices that are current on each rank; nothing once
  /// there is one. Throws INVALID_ARGUMENT on every rank when two of them have one device.
  void connect();
  /// Collective: y [n] = the sum of x [n] over the ranks, on `stream`; x may be y.
  void sum(const float *x, float *y, std::size_t n, cudaStream_t stream);

  /// Return when the device is there. Throw DEVICE_LOST when a rank is gone, after they have ended
  /// the sums that wait for it on the device.
  void wait(cudaEvent_t event);
  void wait(cudaStream_t stream);

 private:
  using Clock = std::chrono::steady_clock;

  template <class Query>
  void poll(Query query);
  void look();
  void refuse_shared_devices() const;
  void check(int result, const char *what);
  void abort() noexcept;

  const calm_comm *comm_;
  const Nccl *nccl_;
  Nccl::Comm handle_ = nullptr;
  Clock::time_point next_look_{};
};

}  // namespace calm::cuda
