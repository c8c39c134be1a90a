#include "frontends/cli/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace calm::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

train::StepMetrics half_way() {
  train::StepMetrics m;
  m.step = 50;
  m.total_steps = 100;
  m.epoch = 2;
  m.mean_loss = 2.5;
  m.lr = 1e-3;
  m.tokens_per_s = 12345;
  m.seconds = 10;
  m.remaining_seconds = 70;
  return m;
}

TEST(Progress, DurationsAreShort) {
  EXPECT_EQ(format_duration(0.04), "0.0s");
  EXPECT_EQ(format_duration(4.54), "4.5s");
  EXPECT_EQ(format_duration(45.2), "45s");
  EXPECT_EQ(format_duration(59.6), "1m00s");
  EXPECT_EQ(format_duration(200), "3m20s");
  EXPECT_EQ(format_duration(7500), "2h05m");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST(Progress, CountsHaveUnitsOrSeparators) {
  EXPECT_EQ(format_count(950), "950");
  EXPECT_EQ(format_count(12345), "12.3k");
  EXPECT_EQ(format_count(4560000), "4.56M");
  EXPECT_EQ(format_thousands(0), "0");
  EXPECT_EQ(format_thousands(999), "999");
  EXPECT_EQ(format_thousands(1000), "1,000");
  EXPECT_EQ(format_thousands(1234567), "1,234,567");
  EXPECT_EQ(format_bytes(1), "1 KiB");
  EXPECT_EQ(format_bytes(3 << 19), "1.5 MiB");
}

TEST(Progress, TheLineShowsStepsLossRateAndTheTimeLeft) {
  EXPECT_EQ(
      progress_line(half_way(), std::nullopt, 10, 120),
      "epoch 2/10 [##########..........] 50/100 loss 2.5000 12.3k tok/s ETA 1m10s lr 1.0e-03");
}

TEST(Progress, ATimeLimitThatIsNearerIsTheMeasure) {
  train::StepMetrics m = half_way();
  m.val_loss = 2.75;
  EXPECT_THAT(progress_line(m, 12, 10, 200),
              HasSubstr("[################....] step 50 10s/12s loss 2.5000 val 2.7500"));
  EXPECT_THAT(progress_line(m, 1000, 10, 200), HasSubstr("50/100"));
}

TEST(Progress, ANarrowTerminalLosesTheRateThenTheBar) {
  const std::string narrow = progress_line(half_way(), std::nullopt, 10, 65);
  EXPECT_THAT(narrow, HasSubstr("["));
  EXPECT_THAT(narrow, Not(HasSubstr("lr")));
  EXPECT_LE(narrow.size(), 65U);
  const std::string narrower = progress_line(half_way(), std::nullopt, 10, 56);
  EXPECT_THAT(narrower, Not(HasSubstr("[")));
  EXPECT_THAT(narrower, HasSubstr("ETA 1m10s"));
  EXPECT_EQ(progress_line(half_way(), std::nullopt, 10, 10), "epoch 2/10");
  EXPECT_EQ(progress_line(half_way(), std::nullopt, 10, 0), "");
}

TEST(Progress, ARunWithoutStepsHasAnEmptyBar) {
  EXPECT_THAT(progress_line({}, std::nullopt, 1, 120), HasSubstr("[....................] 0/0"));
}

}  // namespace
}  // namespace calm::cli
