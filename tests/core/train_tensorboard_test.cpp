#include "core/train/tensorboard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/temp_folder.hpp"

namespace calm::train {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;
using testing::Pair;

// A reader of its own, from the descriptions of TFRecord, CRC-32C and protobuf.
std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    }
  }
  return crc ^ 0xffffffffU;
}

std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

template <class T>
T raw(std::string_view bytes) {
  T value{};
  EXPECT_GE(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

std::vector<std::string> records_of(const std::string &file) {
  std::vector<std::string> records;
  std::string_view rest = file;
  while (!rest.empty()) {
    const std::string_view length = rest.substr(0, 8);
    EXPECT_EQ(raw<std::uint32_t>(rest.substr(8)), masked(length));
    const std::string_view payload = rest.substr(12, raw<std::uint64_t>(length));
    EXPECT_EQ(raw<std::uint32_t>(rest.substr(12 + payload.size())), masked(payload));
    records.emplace_back(payload);
    rest.remove_prefix(std::min(rest.size(), 16 + payload.size()));
  }
  return records;
}

struct Field {
  std::uint64_t number = 0;  // of a varint
  std::string bytes;         // of everything else
};

std::uint64_t varint(std::string_view &rest) {
  std::uint64_t value = 0;
  for (int shift = 0; !rest.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

std::multimap<int, Field> message(std::string_view rest) {
  std::multimap<int, Field> fields;
  while (!rest.empty()) {
    const std::uint64_t key = varint(rest);
    Field field;
    std::size_t size = 0;
    switch (key & 7) {
      case 0:
        field.number = varint(rest);
        break;
      case 1:
        size = 8;
        break;
      case 2:
        size = varint(rest);
        break;
      case 5:
        size = 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return fields;
    }
    EXPECT_LE(size, rest.size());
    size = std::min(size, rest.size());
    field.bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    fields.emplace(static_cast<int>(key >> 3), field);
  }
  return fields;
}

const Field &one(const std::multimap<int, Field> &fields, int number) {
  static const Field kNone;
  EXPECT_EQ(fields.count(number), 1u) << "field " << number;
  const auto it = fields.find(number);
  return it == fields.end() ? kNone : it->second;
}

std::map<std::string, float> scalars_of(const std::string &record) {
  std::map<std::string, float> scalars;
  const auto summary = message(one(message(record), 5).bytes);
  for (const auto &[number, value] : summary) {
    EXPECT_EQ(number, 1);
    const auto fields = message(value.bytes);
    scalars[one(fields, 1).bytes] = raw<float>(one(fields, 2).bytes);
  }
  return scalars;
}

TEST(EventFile, TheChecksumOfThisTestIsTheRightOne) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);  // the check value of CRC-32C
}

TEST(EventFile, RecordsAreReadBack) {
  const calm_test::TempFolder folder;
  const EventFile *file = nullptr;
  EventFile events(folder.path(), 0);
  file = &events;
  EXPECT_THAT(file->path(),
              MatchesRegex(folder.path() + "/events\\.out\\.tfevents\\.[0-9]{10}\\.[^/]+"));
  events.add(1, std::vector<Scalar>{{"loss/train", 2.5}, {"lr", 1e-3}});
  events.add(300, std::vector<Scalar>{{"loss/train", 1.5}});
  const std::vector<std::string> records = records_of(calm_test::read_bytes(events.path()));
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(one(message(records[0]), 3).bytes, "brain.Event:2");
  EXPECT_EQ(one(message(records[2]), 2).number, 1u);
  EXPECT_GT(raw<double>(one(message(records[2]), 1).bytes), 1.6e9);  // seconds
  EXPECT_THAT(scalars_of(records[2]), ElementsAre(Pair("loss/train", 2.5F), Pair("lr", 1e-3F)));
  EXPECT_EQ(one(message(records[3]), 2).number, 300u);
  EXPECT_THAT(scalars_of(records[3]), ElementsAre(Pair("loss/train", 1.5F)));
}

TEST(EventFile, AStartMakesLaterStepsOfAnEarlierFileVoid) {
  const calm_test::TempFolder folder;
  const EventFile first(folder.path(), 0);
  const EventFile second(folder.path(), 70);
  EXPECT_NE(first.path(), second.path());
  const std::vector<std::string> records = records_of(calm_test::read_bytes(second.path()));
  ASSERT_EQ(records.size(), 2u);
  const auto start = message(records[1]);
  EXPECT_EQ(one(start, 2).number, 70u);
  EXPECT_EQ(one(message(one(start, 7).bytes), 1).number, 1u);  // SessionLog.START
}

TEST(EventFile, WhatIsNotFiniteIsLeftOut) {
  const calm_test::TempFolder folder;
  EventFile events(folder.path(), 0);
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  events.add(1, std::vector<Scalar>{{"a", inf}, {"b", nan}});
  events.add(2, std::vector<Scalar>{{"a", -inf}, {"b", 4}});
  const std::vector<std::string> records = records_of(calm_test::read_bytes(events.path()));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_THAT(scalars_of(records[2]), ElementsAre(Pair("b", 4.0F)));
}

TEST(EventFile, AFolderThatIsNotThereEndsNoRun) {
  const calm_test::TempFolder folder;
  EventFile events(folder.path("none"), 0);
  events.add(1, std::vector<Scalar>{{"a", 1}});
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace calm::train
