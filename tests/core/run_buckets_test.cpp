#include "core/run/buckets.hpp"

#include <gtest/gtest.h>

#include <set>

namespace calm::run {
namespace {

TEST(Buckets, HoldTheRowsAndAreMultiplesOf64) {
  for (std::int64_t rows = 1; rows <= 40000; ++rows) {
    const std::int64_t bucket = bucket_tokens(rows);
    ASSERT_GE(bucket, rows);
    ASSERT_EQ(bucket % 64, 0);
    ASSERT_LE(bucket, bucket_tokens(rows + 1));
  }
}

TEST(Buckets, WasteAtMostASixteenthAbove1024) {
  for (std::int64_t rows = 1024; rows <= 100000; ++rows) {
    const std::int64_t dead = bucket_tokens(rows) - rows;
    ASSERT_LE(static_cast<double>(dead), 0.0625 * static_cast<double>(rows)) << rows;
  }
}

TEST(Buckets, AreSixteenAnOctave) {
  for (const std::int64_t octave : {1024, 2048, 4096, 8192}) {
    std::set<std::int64_t> buckets;
    for (std::int64_t rows = octave + 1; rows <= 2 * octave; ++rows) {
      buckets.insert(bucket_tokens(rows));
    }
    EXPECT_EQ(buckets.size(), 16u) << octave;
  }
}

TEST(Buckets, AreTheNextMultipleOf64Below1024) {
  EXPECT_EQ(bucket_tokens(0), 64);
  EXPECT_EQ(bucket_tokens(1), 64);
  EXPECT_EQ(bucket_tokens(64), 64);
  EXPECT_EQ(bucket_tokens(65), 128);
  EXPECT_EQ(bucket_tokens(1000), 1024);
}

}  // namespace
}  // namespace calm::run
