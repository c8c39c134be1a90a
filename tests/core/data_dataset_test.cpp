// A dataset may come from any format plugin, not only from the one that checks its sequences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "core/data/document.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::data {
namespace {

using Ids = std::vector<std::uint16_t>;
using testing::EndsWith;
using testing::StartsWith;

class ReadDataset : public testing::Test {
 protected:
  std::string write(const Ids &tokens, const Ids &lengths, const Ids &cmd_pos) const {
    Document document;
    const auto add = [&document](std::string_view name, const Ids &values) {
      document.add<std::uint16_t>(name, values, {static_cast<std::int64_t>(values.size())});
    };
    add("tokens", tokens);
    add("lengths", lengths);
    add("cmd_pos", cmd_pos);
    std::string path = folder_.path("data.safetensors");
    write_document(model_test::runtime(), "safetensors", document, path);
    return path;
  }
  static Dataset read(const std::string &path) { return read_dataset(model_test::runtime(), path); }
  static void expect_corrupt(const std::string &path, const std::string &what) {
    try {
      read(path);
      ADD_FAILURE() << what << ": it was read";
    } catch (const Error &e) {
      EXPECT_EQ(e.status(), CALM_CORRUPT_DATA) << e.what();
      EXPECT_THAT(e.what(), StartsWith(path + ": "));
      EXPECT_THAT(e.what(), EndsWith(what));
    }
  }

  calm_test::TempFolder folder_;
};

TEST_F(ReadDataset, TakesWhatFitsTogether) {
  const Dataset dataset = read(write({1, 2, 3, 319, 5}, {3, 2}, {0, 1}));
  EXPECT_EQ(dataset.offsets, (std::vector<std::uint64_t>{0, 3, 5}));
  EXPECT_EQ(dataset.tokens, (Ids{1, 2, 3, 319, 5}));
}

TEST_F(ReadDataset, RefusesTokensThatNoTableHasARowFor) {
  expect_corrupt(write({1, 2, 3, 320, 5}, {3, 2}, {0, 1}), "expected tokens below 320, found 320");
  expect_corrupt(write({1, 65535}, {2}, {0}), "expected tokens below 320, found 65535");
}

TEST_F(ReadDataset, RefusesLengthsThatAreNotThoseOfItsTokens) {
  expect_corrupt(write({1, 2, 3}, {3, 2}, {0, 1}),
                 "expected 5 tokens, the sum of lengths, found 3");
  expect_corrupt(write({1, 2, 3}, {2}, {0}), "expected 2 tokens, the sum of lengths, found 3");
  expect_corrupt(write({1, 2, 3}, {3}, {}),
                 "expected 1 values in cmd_pos, one a sequence, found 0");
}

}  // namespace
}  // namespace calm::data
