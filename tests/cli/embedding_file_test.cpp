#include "frontends/cli/embedding_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/document.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::cli {
namespace {

using model_test::runtime;

const std::vector<float> kRows = {1, 2, 3, -0.5F, 1e-30F, 7};

TEST(EmbeddingFile, ANpyFileIsWhatItsFormatSays) {
  const calm_test::TempFolder folder;
  EmbeddingFile file(folder.path("v.npy"), 3);
  file.add(std::span(kRows).first(3));
  file.add(std::span(kRows).subspan(3));
  file.publish(runtime());
  const std::string bytes = calm_test::read_bytes(folder.path("v.npy"));
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t header = static_cast<unsigned char>(bytes[8]) +
                             256 * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
  EXPECT_EQ((10 + header) % 64, 0u);
  const std::string text = bytes.substr(10, header);
  EXPECT_THAT(text,
              testing::StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
  EXPECT_EQ(text.back(), '\n');
  ASSERT_EQ(bytes.size(), 10 + header + kRows.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data() + 10 + header, kRows.data(), kRows.size() * sizeof(float)), 0);
}

TEST(EmbeddingFile, ASafetensorsFileHoldsOneTensor) {
  const calm_test::TempFolder folder;
  EmbeddingFile file(folder.path("v.safetensors"), 2);
  file.add(kRows);
  file.publish(runtime());
  const data::Document read = data::read_document(runtime(), folder.path("v.safetensors"));
  ASSERT_EQ(read.tensors.size(), 1u);
  EXPECT_EQ(describe(read.need("embeddings").type), "f32[3, 2]");
  EXPECT_EQ(read.need("embeddings").as<float>(), kRows);
}

TEST(EmbeddingFile, NoRowsAreAnEmptyMatrix) {
  const calm_test::TempFolder folder;
  EmbeddingFile(folder.path("v.safetensors"), 4).publish(runtime());
  const data::Document read = data::read_document(runtime(), folder.path("v.safetensors"));
  EXPECT_EQ(describe(read.need("embeddings").type), "f32[0, 4]");
  EmbeddingFile(folder.path("v.npy"), 4).publish(runtime());
  EXPECT_THAT(calm_test::read_bytes(folder.path("v.npy")), testing::HasSubstr("(0, 4)"));
}

TEST(EmbeddingFile, UnpublishedItLeavesWhatWasThere) {
  const calm_test::TempFolder folder;
  EmbeddingFile(folder.path("v.npy"), 3).publish(runtime());
  const std::string before = calm_test::read_bytes(folder.path("v.npy"));
  {
    EmbeddingFile file(folder.path("v.npy"), 3);
    file.add(kRows);
  }
  EXPECT_EQ(calm_test::read_bytes(folder.path("v.npy")), before);
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(EmbeddingFile, AnotherEndingIsRefused) {
  const calm_test::TempFolder folder;
  try {
    const EmbeddingFile file(folder.path("v.csv"), 3);
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_THAT(e.what(), testing::HasSubstr("expected a name that ends in .safetensors or .npy"));
  }
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace calm::cli
