#pragma once

#include <calm/host.h>

#include <atomic>

#include "core/base/thread_pool.hpp"

namespace calm {

/// The services lent to plugins: log to stderr, aligned memory, the thread pool, the stop flag.
/// There are no extensions yet: every id gives null.
class Host {
 public:
  /// `stop` is non-zero once the user asked to stop (SignalScope::flag()); may be null. Both must
  /// outlive the host.
  explicit Host(ThreadPool &pool, const std::atomic<int> *stop = nullptr) noexcept;
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;

  /// Valid as long as the host.
  const calm_host *table() const noexcept { return &table_; }
  ThreadPool &pool() const noexcept { return pool_; }
  bool cancelled() const noexcept;

 private:
  ThreadPool &pool_;
  const std::atomic<int> *stop_;
  calm_host table_{};
};

}  // namespace calm
