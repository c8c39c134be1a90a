#include "core/base/suggest.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

TEST(Suggest, CountsEditsWithSwapsAsOne) {
  EXPECT_EQ(calm::edit_distance("", ""), 0u);
  EXPECT_EQ(calm::edit_distance("", "abc"), 3u);
  EXPECT_EQ(calm::edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(calm::edit_distance("cuda", "cdua"), 1u);
  EXPECT_EQ(calm::edit_distance("reference", "reference"), 0u);
}

TEST(Suggest, OffersTheNearestKnownName) {
  const std::vector<std::string> known = {"reference", "onednn", "cuda", "vulkan"};
  EXPECT_EQ(calm::nearest("referense", known), "reference");
  EXPECT_EQ(calm::nearest("onednm", known), "onednn");
  EXPECT_EQ(calm::nearest("cdua", known), "cuda");
  EXPECT_EQ(calm::did_you_mean("vulcan", known), "; did you mean \"vulkan\"?");
}

TEST(Suggest, OffersNothingThatIsAnotherWord) {
  const std::vector<std::string> known = {"reference", "cuda", "x"};
  EXPECT_EQ(calm::nearest("metal", known), "");
  EXPECT_EQ(calm::nearest("y", known), "");
  EXPECT_EQ(calm::nearest("", known), "");
  EXPECT_EQ(calm::nearest(std::string(100'000, 'c'), known), "");
  EXPECT_EQ(calm::did_you_mean("metal", known), "");
  EXPECT_EQ(calm::nearest("cuda", std::vector<std::string>{}), "");
}

}  // namespace
