#pragma once

#include <calm/comm.h>
#include <calm/host.h>

#include <atomic>

#include "core/base/thread_pool.hpp"

namespace calm {

/// The services lent to plugins: log to stderr, aligned memory, the thread pool, the stop flag. One
/// extension, `calm.comm/1`, where several processes train together; every other id gives null.
class Host {
 public:
  /// `stop` is non-zero once the user asked to stop (SignalScope::flag()); may be null, as may
  /// `comm` for a process alone. All must outlive the host.
  explicit Host(ThreadPool &pool, const std::atomic<int> *stop = nullptr,
                const calm_comm *comm = nullptr) noexcept;
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;

  /// Valid as long as the host.
  const calm_host *table() const noexcept { return &table_; }
  ThreadPool &pool() const noexcept { return pool_; }
  const calm_comm *comm() const noexcept { return comm_; }
  /// The signal that asked to stop, 0 while there was none.
  int stop_signal() const noexcept;
  bool cancelled() const noexcept { return stop_signal() != 0; }

 private:
  ThreadPool &pool_;
  const std::atomic<int> *stop_;
  const calm_comm *comm_;
  calm_host table_{};
};

}  // namespace calm
