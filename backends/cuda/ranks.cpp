#include "cuda/ranks.hpp"

#include <calm/cpp/error.hpp>

#include <sched.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

/// Between two looks at the other ranks while waiting.
constexpr auto kLookEvery = std::chrono::milliseconds(5);

}  // namespace

Ranks::Ranks(const calm_comm &comm) : comm_(&comm), nccl_(&nccl()) {}

void Ranks::connect() {
  if (handle_ != nullptr) {
    return;
  }
  refuse_shared_devices();
  Nccl::Id id{};
  if (comm_->rank == 0) {
    check(nccl_->unique_id(&id), "naming a communicator");
  }
  call(comm_->broadcast, comm_->self, static_cast<void *>(&id), std::uint64_t{sizeof id}, 0U);
  Nccl::Comm handle = nullptr;
  check(
      nccl_->init_rank(&handle, static_cast<int>(comm_->ranks), id, static_cast<int>(comm_->rank)),
      "making a communicator");
  handle_ = handle;
}

// NCCL would say that we used it wrongly, some versions nothing at all.
void Ranks::refuse_shared_devices() const {
  int device = 0;
  cudaDeviceProp properties{};
  cuda::check(cudaGetDevice(&device), "describing the device");
  cuda::check(cudaGetDeviceProperties(&properties, device), "describing the device");
  // Each rank's own among zeros: the sum has all. Bytes as numbers, since sums are of numbers.
  constexpr std::size_t kBytes = sizeof properties.uuid.bytes;
  std::vector<double> all(comm_->ranks * kBytes, 0.0);
  const auto of = [&all](std::uint32_t rank) {
    return all.begin() + static_cast<std::ptrdiff_t>(rank * kBytes);
  };
  std::transform(std::begin(properties.uuid.bytes), std::end(properties.uuid.bytes),
                 of(comm_->rank), [](char byte) { return static_cast<unsigned char>(byte); });
  call(comm_->all_reduce, comm_->self, static_cast<void *>(all.data()),
       static_cast<std::uint64_t>(all.size()), CALM_F64);
  for (std::uint32_t a = 0; a < comm_->ranks; ++a) {
    for (std::uint32_t b = a + 1; b < comm_->ranks; ++b) {
      if (std::equal(of(a), of(a) + kBytes, of(b))) {
        throw Error(CALM_INVALID_ARGUMENT,
                    "cuda: expected a device for each process, found one device for ranks " +
                        std::to_string(a) + " and " + std::to_string(b) +
                        "; launch as many processes as a host has devices");
      }
    }
  }
}

void Ranks::sum(const float *x, float *y, std::size_t n, cudaStream_t stream) {
  if (handle_ == nullptr) {
    throw Error(CALM_DEVICE_LOST, "nccl: the communicator was given up");
  }
  check(nccl_->all_reduce(x, y, n, Nccl::kFloat32, Nccl::kSum, handle_, stream),
        "adding up over the ranks");
}

void Ranks::wait(cudaEvent_t event) {
  poll([event] { return cudaEventQuery(event); });
}
void Ranks::wait(cudaStream_t stream) {
  poll([stream] { return cudaStreamQuery(stream); });
}

template <class Query>
void Ranks::poll(Query query) {
  for (;;) {
    const cudaError_t state = query();
    if (state != cudaErrorNotReady) {
      cuda::check(state, "waiting for the device");
      return;
    }
    static_cast<void>(cudaGetLastError());  // nothing that a launch should find
    const Clock::time_point now = Clock::now();
    if (now >= next_look_) {
      next_look_ = now + kLookEvery;
      look();
    }
    ::sched_yield();
  }
}

void Ranks::look() {
  try {
    call(comm_->check, comm_->self);
  } catch (const Error &) {
    abort();
    throw;
  }
  if (handle_ != nullptr) {
    int state = Nccl::kSuccess;
    check(nccl_->async_error(handle_, &state), "asking for failures");
    check(state, "adding up over the ranks");
  }
}

void Ranks::check(int result, const char *what) {
  if (result == Nccl::kSuccess || result == Nccl::kInProgress) {
    return;
  }
  // While the ranks meet, the system's failures are its settings; later the other end failed.
  const bool met = handle_ != nullptr;
  abort();
  call(comm_->check, comm_->self);  // names the rank, where one is gone
  const std::string text =
      "nccl " + nccl_->version + ": " + what + ": " + nccl_->error_string(result);
  switch (result) {
    case Nccl::kRemoteError:
      throw Error(CALM_DEVICE_LOST, text);
    case Nccl::kSystemError:
    case Nccl::kInternalError:
      throw Error(met ? CALM_DEVICE_LOST : CALM_FAILED, text);
    case Nccl::kCudaError:
      cuda::check(cudaGetLastError(), what);  // where it left what it met
      [[fallthrough]];
    default:
      throw Error(CALM_FAILED, text);
  }
}

// Never ncclCommDestroy, which may wait for ranks that are gone. Nothing is under way at the end of
// a run that went well: the ranks met after its last sum.
void Ranks::abort() noexcept {
  if (handle_ != nullptr) {
    static_cast<void>(nccl_->abort(std::exchange(handle_, nullptr)));
  }
}

}  // namespace calm::cuda
