#pragma once

#include <calm/comm.h>

#include <cstdint>
#include <exception>
#include <span>
#include <string>

#include <calm/cpp/error.hpp>

namespace calm::comm {

/// Another rank failed where all act together; it says why itself, so nothing is to be printed.
class PeerFailed : public Error {
 public:
  PeerFailed(calm_status status, std::uint32_t rank)
      : Error(status, "rank " + std::to_string(rank) + " failed") {}
};

/// The ranks of a run, as the core sees them: collective calls that do nothing for a process alone.
/// Error(CALM_DEVICE_LOST) when a rank is gone.
class Ranks {
 public:
  /// `comm`: of the runtime, or null for a process alone; must outlive this object.
  explicit Ranks(const calm_comm *comm) : comm_(comm) {}

  bool several() const { return comm_ != nullptr; }
  std::uint32_t count() const { return comm_ == nullptr ? 1 : comm_->ranks; }
  std::uint32_t rank() const { return comm_ == nullptr ? 0 : comm_->rank; }
  /// The one that writes files and talks.
  bool first() const { return rank() == 0; }

  void sum(std::span<double> values) const { sum(values.data(), values.size(), CALM_F64); }
  void sum(std::span<float> values) const { sum(values.data(), values.size(), CALM_F32); }
  /// `bytes` of the first rank.
  void broadcast(void *data, std::uint64_t bytes) const;

  /// Does `body` on every rank, then all go on or all fail: the first rank that failed with what it
  /// threw, the others with PeerFailed and the same status. `body` acts on no other rank.
  template <class Body>
  void together(Body &&body) const {
    std::exception_ptr failure;
    calm_status status = CALM_OK;
    try {
      body();
    } catch (const Error &e) {
      failure = std::current_exception();
      status = e.status();
    } catch (const std::bad_alloc &) {
      failure = std::current_exception();
      status = CALM_OUT_OF_MEMORY;
    } catch (...) {
      failure = std::current_exception();
      status = CALM_INTERNAL;
    }
    agree(status, failure);
  }

 private:
  void sum(void *values, std::uint64_t count, calm_dtype dtype) const;
  void agree(calm_status status, const std::exception_ptr &failure) const;

  const calm_comm *comm_;
};

}  // namespace calm::comm
