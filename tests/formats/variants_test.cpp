// Every variant is judged as its table says, whatever reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.hpp"
#include "variants.hpp"

namespace calm::formats_test {
namespace {

using testing::HasSubstr;

struct Group {
  const char *format;
  std::vector<Variant> (*variants)();
  std::size_t at_least;
};

class Variants : public testing::TestWithParam<Group> {};

TEST_P(Variants, AreJudgedAsTheTableSays) {
  const std::vector<Variant> all = GetParam().variants();
  EXPECT_GE(all.size(), GetParam().at_least);
  for (const Variant &v : all) {
    SCOPED_TRACE(v.name);
    const Opened o = open(format(GetParam().format), v.file);
    EXPECT_EQ(o.status, v.status) << o.message;
    if (v.status != CALM_OK) {
      EXPECT_THAT(o.message, HasSubstr(v.message));
      EXPECT_EQ(o.message.rfind("offset ", 0), 0u) << o.message;
      EXPECT_EQ(o.message.find('\n'), std::string::npos) << o.message;
    }
    // What a file declares is never asked of the system: at most what the file has, and a buffer.
    EXPECT_LE(o.largest_allocation, 4 * v.file.size() + (1 << 19));
  }
}

// A stream that gives `left` reads and then fails, as a file does that became shorter.
struct Failing {
  const Bytes *file;
  int left;
};

calm_status read_or_fail(void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                         calm_error *error) {
  auto &stream = *static_cast<Failing *>(self);
  if (stream.left-- == 0) {
    return fail(error, CALM_IO, "the file became shorter");
  }
  std::memcpy(dst, stream.file->data() + offset, bytes);
  return CALM_OK;
}

TEST_P(Variants, AReadThatFailsIsTheErrorThatIsGiven) {
  const Bytes file = GetParam().variants().front().file;
  const calm_format &table = format(GetParam().format);
  bool opened = false;
  for (int good = 0; !opened; ++good) {
    Failing state{&file, good};
    calm_stream stream{};
    stream.size = sizeof stream;
    stream.self = &state;
    stream.bytes = file.size();
    stream.read_at = read_or_fail;
    calm_reader *reader = nullptr;
    calm_error error{};
    const calm_status status = table.open(&stream, nullptr, &reader, &error);
    opened = status == CALM_OK;
    if (!opened) {
      EXPECT_EQ(status, CALM_IO) << good;
      EXPECT_STREQ(error.message, "the file became shorter");
      continue;
    }
    EXPECT_GE(good, 2);
    state.left = 0;
    std::vector<std::byte> data(file.size());
    const auto &first = record<calm_named_tensor>(table.document(reader)->tensors, 0);
    EXPECT_EQ(table.read(reader, 0, data.data(), bytes_of(first.type), &error), CALM_IO);
    table.close(reader);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Variants,
                         testing::Values(Group{"cwgt", cwgt_variants, 124},
                                         Group{"ctds", ctds_variants, 79},
                                         Group{"safetensors", safetensors_variants, 85}),
                         [](const auto &group) { return std::string(group.param.format); });

}  // namespace
}  // namespace calm::formats_test
