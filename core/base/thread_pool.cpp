#include "core/base/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/base/plugin_scope.hpp"

namespace calm {
namespace {

constexpr std::uint32_t kClosed = 1u << 31;
constexpr std::uint32_t kMaxThreads = 1024;
// Some tens of microseconds: longer than the gap between two kernels of a step, shorter than
// anything a person or another process would notice.
constexpr int kSpins = 1000;

void pause_briefly() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Waits until `word` differs from `old`, first awake, then asleep, and returns its value.
std::uint32_t changed(const std::atomic<std::uint32_t> &word, std::uint32_t old) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    const std::uint32_t now = word.load(std::memory_order_acquire);
    if (now != old) {
      return now;
    }
    pause_briefly();
  }
  std::uint32_t now = word.load(std::memory_order_acquire);
  while (now == old) {
    word.wait(old, std::memory_order_acquire);
    now = word.load(std::memory_order_acquire);
  }
  return now;
}

std::uint32_t usable_processors() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<std::uint32_t>(std::max(CPU_COUNT(&set), 1));
  }
  return std::max(std::thread::hardware_concurrency(), 1u);
}

}  // namespace

struct ThreadPool::Job {
  // Written only while the job is closed and nobody is inside.
  Body body = nullptr;
  void *context = nullptr;
  std::uint32_t shards = 0;
  PluginActivity activity;  // of the caller: its workers are in the same plugin's code

  // Wider than a shard number: late arrivals can push it past 2^32 without a wrap.
  alignas(64) std::atomic<std::uint64_t> next{0};         // shard to take
  alignas(64) std::atomic<std::uint32_t> state{kClosed};  // kClosed bit | workers inside
  alignas(64) std::atomic<std::uint32_t> epoch{0};        // counts jobs; idle workers wait on it
  std::atomic<bool> busy{false};
  std::atomic<bool> stop{false};

  void work() noexcept {
    for (;;) {
      const std::uint64_t shard = next.fetch_add(1, std::memory_order_relaxed);
      if (shard >= shards) {
        return;
      }
      body(context, static_cast<std::uint32_t>(shard));
    }
  }

  bool enter() noexcept {
    std::uint32_t seen = state.load(std::memory_order_relaxed);
    while ((seen & kClosed) == 0) {
      if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void leave() noexcept {
    const std::uint32_t before = state.fetch_sub(1);
    if ((before & kClosed) != 0) {
      state.notify_one();
    }
  }
};

ThreadPool::ThreadPool(std::uint32_t threads)
    : job_(std::make_unique<Job>()),
      wanted_(std::min(threads == 0 ? usable_processors() : threads, kMaxThreads)) {
  workers_.reserve(wanted_ - 1);
}

void ThreadPool::start() noexcept {
  started_ = true;
  // Workers inherit the mask: signals meant for the process go to threads that expect them.
  sigset_t all;
  sigset_t previous;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) {
    ::sigdelset(&all, fault);
  }
  ::pthread_sigmask(SIG_SETMASK, &all, &previous);
  try {
    for (std::uint32_t i = 1; i < wanted_; ++i) {
      workers_.emplace_back([this] { run_worker(); });
    }
  } catch (const std::exception &) {
    // The system gives no more threads, or no memory for them: work with those there are.
  }
  ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

ThreadPool::~ThreadPool() {
  job_->stop.store(true, std::memory_order_relaxed);
  job_->epoch.fetch_add(1);
  job_->epoch.notify_all();
  for (std::thread &worker : workers_) {
    worker.join();
  }
}

void ThreadPool::parallel_for(std::uint32_t shards, Body body, void *context) noexcept {
  const bool alone = shards <= 1 || wanted_ == 1;
  Job &job = *job_;
  if (alone || job.busy.exchange(true, std::memory_order_acquire)) {
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      body(context, shard);
    }
    return;
  }
  if (!started_) {
    start();
  }
  job.body = body;
  job.context = context;
  job.shards = shards;
  job.activity = PluginScope::current();
  job.next.store(0, std::memory_order_relaxed);
  job.state.store(0, std::memory_order_release);
  // Sequentially consistent, so that it cannot pass the library's look for sleepers.
  job.epoch.fetch_add(1);
  job.epoch.notify_all();
  job.work();
  // Workers that have not come by now are not waited for: the job closes before they could enter.
  std::uint32_t state = job.state.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  while (state != kClosed) {
    state = changed(job.state, state);
  }
  job.busy.store(false, std::memory_order_release);
}

void ThreadPool::run_worker() noexcept {
  Job &job = *job_;
  std::uint32_t epoch = 0;
  for (;;) {
    epoch = changed(job.epoch, epoch);
    if (job.stop.load(std::memory_order_relaxed)) {
      return;
    }
    if (job.enter()) {
      {
        const PluginScope scope(job.activity);
        job.work();
      }
      job.leave();
    }
  }
}

}  // namespace calm
