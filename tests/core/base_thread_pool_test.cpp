#include "core/base/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using calm::ThreadPool;

TEST(ThreadPool, RunsEveryShardOnceWhateverTheirNumber) {
  ThreadPool pool(4);
  EXPECT_EQ(pool.threads(), 4u);
  for (const std::uint32_t shards : {0u, 1u, 2u, 3u, 4u, 5u, 64u, 1000u}) {
    // Plain memory: the caller must see what the workers wrote.
    std::vector<int> runs(shards, 0);
    pool.parallel_for(shards, [&](std::uint32_t shard) { ++runs[shard]; });
    EXPECT_EQ(runs, std::vector<int>(shards, 1)) << shards;
  }
}

TEST(ThreadPool, ManyShortJobsFollowEachOther) {
  ThreadPool pool(3);
  std::vector<std::uint64_t> sums(7, 0);
  for (std::uint64_t job = 1; job <= 20'000; ++job) {
    pool.parallel_for(7, [&](std::uint32_t shard) { sums[shard] += job * (shard + 1); });
  }
  for (std::size_t shard = 0; shard < sums.size(); ++shard) {
    EXPECT_EQ(sums[shard], 20'000ull * 20'001 / 2 * (shard + 1));
  }
}

TEST(ThreadPool, SleepingWorkersWakeForAJobThatNeedsThemAll) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    // Much longer than workers spin before they fall asleep.
    std::atomic<int> idle{0};
    for (int i = 0; i < 300'000; ++i) {
      idle.store(i);
    }
    // Each shard waits for the others, so no thread can do two.
    std::atomic<std::uint32_t> arrived{0};
    pool.parallel_for(3, [&](std::uint32_t) {
      ++arrived;
      while (arrived.load() < 3) {
        std::this_thread::yield();
      }
    });
    EXPECT_EQ(arrived.load(), 3u);
  }
}

TEST(ThreadPool, ANestedCallDoesItsShardsInOrderOnItsOwnThread) {
  ThreadPool pool(2);
  std::atomic<int> wrong{0};
  pool.parallel_for(4, [&](std::uint32_t) {
    std::uint32_t expected = 0;
    const std::thread::id self = std::this_thread::get_id();
    pool.parallel_for(5, [&](std::uint32_t inner) {
      if (inner != expected++ || std::this_thread::get_id() != self) {
        ++wrong;
      }
    });
    if (expected != 5) {
      ++wrong;
    }
  });
  EXPECT_EQ(wrong.load(), 0);
}

TEST(ThreadPool, CallersOnSeveralThreadsDoNotDisturbEachOther) {
  ThreadPool pool(2);
  std::vector<std::uint64_t> totals(3, 0);
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < totals.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int job = 0; job < 2000; ++job) {
        std::vector<std::uint64_t> parts(5, 0);
        pool.parallel_for(5, [&](std::uint32_t shard) { parts[shard] = shard; });
        totals[caller] += std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
      }
    });
  }
  for (std::thread &caller : callers) {
    caller.join();
  }
  EXPECT_EQ(totals, std::vector<std::uint64_t>(3, 20'000));
}

TEST(ThreadPool, OneThreadNeedsNoWorker) {
  ThreadPool pool(1);
  EXPECT_EQ(pool.threads(), 1u);
  const std::thread::id self = std::this_thread::get_id();
  bool elsewhere = false;
  pool.parallel_for(9, [&](std::uint32_t) { elsewhere |= std::this_thread::get_id() != self; });
  EXPECT_FALSE(elsewhere);
}

std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

// A short program has no work for them.
TEST(ThreadPool, StartsNoWorkerBeforeAJobForTwo) {
  const std::ptrdiff_t before = threads_of_this_process();
  ThreadPool pool(9);
  int alone = 0;
  pool.parallel_for(1, [&](std::uint32_t) { ++alone; });
  EXPECT_EQ(alone, 1);
  EXPECT_EQ(pool.threads(), 9u);
  // Not more than before; fewer when those of an earlier test were just ending.
  EXPECT_LE(threads_of_this_process(), before);
}

TEST(ThreadPool, StartsAndStopsWithoutAJob) {
  for (int i = 0; i < 20; ++i) {
    const ThreadPool pool(3);
  }
  EXPECT_GE(ThreadPool().threads(), 1u);
}

}  // namespace
