#include "core/data/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::data {
namespace {

using model_test::runtime;
using testing::StartsWith;

Document dataset_document() {
  Document document;
  document.add<std::uint16_t>("lengths", std::vector<std::uint16_t>{2, 3}, {2});
  document.add<std::uint16_t>("cmd_pos", std::vector<std::uint16_t>{0, 2}, {2});
  document.add<std::uint16_t>("tokens", std::vector<std::uint16_t>{1, 2, 3, 259, 4}, {5});
  return document;
}

template <class Body>
Error error_of(Body &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

TEST(Document, IsReadByTheFormatThatKnowsIt) {
  const calm_test::TempFolder folder;
  write_document(runtime(), "ctds", dataset_document(), folder.path("a.ctds"));
  const Document document = read_document(runtime(), folder.path("a.ctds"));
  EXPECT_EQ(document.format, "ctds");
  EXPECT_EQ(document.need("tokens").as<std::uint16_t>(),
            (std::vector<std::uint16_t>{1, 2, 3, 259, 4}));
  const Dataset dataset = read_dataset(runtime(), folder.path("a.ctds"));
  EXPECT_EQ(dataset.size(), 2u);
  EXPECT_EQ(dataset.offsets, (std::vector<std::uint64_t>{0, 2, 5}));
  EXPECT_EQ(dataset.sequence(1)[1], 259);
  EXPECT_EQ(dataset.cmd_pos[1], 2);
}

TEST(Document, CanBeReadWithoutTheBytes) {
  const calm_test::TempFolder folder;
  write_document(runtime(), "ctds", dataset_document(), folder.path("a.ctds"));
  const Document document = read_document(runtime(), folder.path("a.ctds"), false);
  EXPECT_EQ(describe(document.need("tokens").type), "u16[5]");
  EXPECT_TRUE(document.need("tokens").bytes.empty());
}

TEST(Document, NamesMissingTensorsAndWrongTypes) {
  const Document document = dataset_document();
  EXPECT_EQ(document.tensor("nope"), nullptr);
  EXPECT_EQ(document.field("nope"), nullptr);
  EXPECT_STREQ(error_of([&] { document.need("nope"); }).what(),
               "expected a tensor nope, found none");
  EXPECT_STREQ(error_of([&] { document.need("tokens").as<float>(); }).what(),
               "tensor tokens: expected f32, found u16");
}

TEST(Document, NamesTheFileWhateverIsWrongWithIt) {
  const calm_test::TempFolder folder;
  const std::string noise = folder.write("noise.bin", "this is no format anyone knows");
  const Error unknown = error_of([&] { read_document(runtime(), noise); });
  EXPECT_EQ(unknown.status(), CALM_CORRUPT_DATA);
  EXPECT_THAT(unknown.what(), StartsWith(noise + ": "));
  const std::string empty = folder.write("empty.bin", "");
  EXPECT_EQ(error_of([&] { read_document(runtime(), empty); }).status(), CALM_CORRUPT_DATA);

  write_document(runtime(), "ctds", dataset_document(), folder.path("a.ctds"));
  std::string bytes = calm_test::read_bytes(folder.path("a.ctds"));
  for (std::size_t length = 4; length < bytes.size(); ++length) {
    const std::string cut = folder.write("cut.ctds", bytes.substr(0, length));
    const Error error = error_of([&] { read_document(runtime(), cut); });
    EXPECT_EQ(error.status(), CALM_CORRUPT_DATA) << length;
    EXPECT_THAT(error.what(), StartsWith(cut + ": "));
  }
  const Error missing = error_of([&] { read_document(runtime(), folder.path("none")); });
  EXPECT_EQ(missing.status(), CALM_IO);
}

TEST(Document, ThatAFormatCannotHoldIsRefusedAndNothingIsWritten) {
  const calm_test::TempFolder folder;
  Document document = dataset_document();
  document.tensors.pop_back();
  const Error error =
      error_of([&] { write_document(runtime(), "ctds", document, folder.path("a.ctds")); });
  EXPECT_EQ(error.status(), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(error.what(), StartsWith(folder.path("a.ctds") + ": "));
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Document, EncodesIntoAnySink) {
  const calm_test::TempFolder folder;
  const Document document = dataset_document();
  std::string bytes;
  encode_document(runtime(), "ctds", document, [&](const void *data, std::uint64_t n) {
    bytes.append(static_cast<const char *>(data), n);
    return CALM_OK;
  });
  write_document(runtime(), "ctds", document, folder.path("a.ctds"));
  EXPECT_EQ(bytes, calm_test::read_bytes(folder.path("a.ctds")));
  const Error full = error_of([&] {
    encode_document(runtime(), "ctds", document,
                    [](const void *, std::uint64_t) { return CALM_IO; });
  });
  EXPECT_EQ(full.status(), CALM_IO);
}

}  // namespace
}  // namespace calm::data
