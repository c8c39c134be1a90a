#include "core/base/host.hpp"

#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/log.hpp"

namespace {

using calm::Host;
using calm::ThreadPool;

TEST(Host, FillsEverySlotOfItsTable) {
  ThreadPool pool(2);
  const Host host(pool);
  const calm_host &table = *host.table();
  EXPECT_EQ(table.size, sizeof(calm_host));
  EXPECT_EQ(table.threads, 2u);
  EXPECT_NE(table.log, nullptr);
  EXPECT_EQ(table.extension(table.self, calm::str("calm.comm/1")), nullptr);
}

TEST(Host, AlignsMemoryAndRefusesWhatCannotBe) {
  ThreadPool pool(1);
  const Host host(pool);
  const calm_host &table = *host.table();
  for (const std::uint64_t align : {1u, 2u, 64u, 256u, 4096u}) {
    for (const std::uint64_t bytes : {0u, 1u, 1000u}) {
      void *memory = table.alloc(table.self, bytes, align);
      ASSERT_NE(memory, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % align, 0u);
      table.free(table.self, memory);
    }
  }
  EXPECT_EQ(table.alloc(table.self, 16, 0), nullptr);
  EXPECT_EQ(table.alloc(table.self, 16, 48), nullptr);
  EXPECT_EQ(table.alloc(table.self, ~0ull, 64), nullptr);
  table.free(table.self, nullptr);
}

TEST(Host, RunsShardsOnThePool) {
  ThreadPool pool(3);
  const Host host(pool);
  const calm_host &table = *host.table();
  std::vector<std::uint32_t> seen(10, 0);
  table.parallel_for(
      table.self, 10,
      [](void *context, std::uint32_t shard) {
        (*static_cast<std::vector<std::uint32_t> *>(context))[shard] = shard;
      },
      &seen);
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(seen[i], i);
  }
}

TEST(Host, IsCancelledOnceTheFlagIsSet) {
  ThreadPool pool(1);
  std::atomic<int> flag{0};
  const Host host(pool, &flag);
  const calm_host &table = *host.table();
  EXPECT_EQ(table.cancelled(table.self), 0u);
  flag = 2;
  EXPECT_EQ(table.cancelled(table.self), 1u);
  EXPECT_FALSE(Host(pool).cancelled());
}

class Log : public testing::Test {
 public:
  ~Log() override { calm::set_log_level(CALM_LOG_INFO); }
};

TEST_F(Log, WritesLinesToStderrFromItsLevelUp) {
  calm::set_log_level(CALM_LOG_INFO);
  testing::internal::CaptureStderr();
  calm::log_debug("unseen {}", 1);
  calm::log_info("seen {}", 2);
  calm::log_warning("odd {}", 3);
  calm::print_error("bad");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "calm: seen 2\ncalm: warning: odd 3\ncalm: bad\n");
}

TEST_F(Log, QuietKeepsWarningsAndVerboseShowsAll) {
  calm::set_log_level(CALM_LOG_WARN);
  testing::internal::CaptureStderr();
  calm::log_info("unseen");
  calm::log_warning("seen");
  calm::set_log_level(CALM_LOG_DEBUG);
  calm::log_debug("why");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "calm: warning: seen\ncalm: debug: why\n");
}

TEST_F(Log, APluginCannotDriveTheTerminal) {
  ThreadPool pool(1);
  const Host host(pool);
  const calm_host &table = *host.table();
  testing::internal::CaptureStderr();
  table.log(table.self, CALM_LOG_WARN, calm::str("\x1b[2Jone\ntwo"));
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

}  // namespace
