#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace calm {

/// Persistent workers for short, frequent work, started with the first of it. The caller of
/// `parallel_for` works too; workers spin briefly after a job before they sleep, so jobs that
/// follow each other closely cost no system call.
class ThreadPool {
 public:
  using Body = void (*)(void *context, std::uint32_t shard);

  /// `threads` in all, the caller included; 0 asks for one a usable processor. Fewer work when the
  /// system refuses to start as many.
  explicit ThreadPool(std::uint32_t threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// Threads that work on a job, >= 1.
  std::uint32_t threads() const noexcept { return wanted_; }

  /// Calls body(context, shard) once for every shard in [0, shards) and returns when all are done.
  /// Which thread runs a shard is open: results must not depend on it. A call while another runs
  /// (nested, or from a second thread) does its shards alone, in order. An exception ends the
  /// program. [run]
  void parallel_for(std::uint32_t shards, Body body, void *context) noexcept;

  /// The same for a callable `body(shard)`.
  template <class Function>
  void parallel_for(std::uint32_t shards, Function &&body) noexcept {
    using Target = std::remove_reference_t<Function>;
    parallel_for(
        shards,
        [](void *context, std::uint32_t shard) { (*static_cast<Target *>(context))(shard); },
        const_cast<void *>(static_cast<const void *>(std::addressof(body))));
  }

 private:
  struct Job;

  void start() noexcept;
  void run_worker() noexcept;

  std::unique_ptr<Job> job_;  // on the heap: its fields keep to cache lines of their own
  std::uint32_t wanted_;
  bool started_ = false;  // with job_->busy held
  std::vector<std::thread> workers_;
};

}  // namespace calm
