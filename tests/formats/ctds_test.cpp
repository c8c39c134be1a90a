#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "support.hpp"

namespace calm::formats_test {
namespace {

const calm_format &ctds() { return format("ctds"); }

Contents document(const std::vector<std::uint16_t> &lengths,
                  const std::vector<std::uint16_t> &positions,
                  const std::vector<std::uint16_t> &tokens) {
  Contents c;
  c.add("lengths", CALM_U16, {static_cast<std::int64_t>(lengths.size())}, lengths);
  c.add("cmd_pos", CALM_U16, {static_cast<std::int64_t>(positions.size())}, positions);
  c.add("tokens", CALM_U16, {static_cast<std::int64_t>(tokens.size())}, tokens);
  return c;
}

// Any bytes that start like a CTDS file, right or wrong.
Bytes raw(std::uint32_t count, std::uint16_t max_len, const std::vector<std::uint16_t> &words) {
  Bytes file(14 + 2 * words.size());
  std::memcpy(file.data(), "CTDS", 4);
  put<std::uint32_t>(file, 8, count);
  put<std::uint16_t>(file, 12, max_len);
  for (std::size_t i = 0; i < words.size(); ++i) {
    put(file, 14 + 2 * i, words[i]);
  }
  return file;
}

void expect_refused(const Bytes &file, const std::string &message) {
  const Opened o = open(ctds(), file);
  EXPECT_EQ(o.status, CALM_CORRUPT_DATA) << message;
  EXPECT_NE(o.message.find(message), std::string::npos)
      << "expected: " << message << "\nfound:    " << o.message;
  EXPECT_EQ(o.message.rfind("offset ", 0), 0u) << o.message;
  EXPECT_LT(o.largest_allocation, 1u << 20);
}

void expect_unwritable(const Contents &c, const std::string &message) {
  const Written w = write(ctds(), c);
  EXPECT_EQ(w.status, CALM_INVALID_ARGUMENT) << message;
  EXPECT_NE(w.message.find(message), std::string::npos)
      << "expected: " << message << "\nfound:    " << w.message;
}

TEST(Ctds, KnowsItsMagicOnly) {
  const Bytes file = golden("ctds/case00.ctds");
  EXPECT_EQ(ctds().probe(file.data(), 64, file.size()), 100u);
  EXPECT_EQ(ctds().probe(file.data(), 3, 3), 0u);
  const Bytes other = golden("tiny_nometa.cwgt");
  EXPECT_EQ(ctds().probe(other.data(), 64, other.size()), 0u);
}

TEST(Ctds, GoldenFilesDecodeToTheirSequencesAndAreWrittenBackByteForByte) {
  const Bytes text = golden("ctds.json");
  const auto index =
      nlohmann::json::parse(reinterpret_cast<const char *>(text.data()),
                            reinterpret_cast<const char *>(text.data()) + text.size());
  int compared = 0;
  for (const auto &entry : index["files"]) {
    const std::string name = entry["file"];
    SCOPED_TRACE(name);
    const Bytes file = golden(name);
    Opened o = open(ctds(), file);
    if (name == "ctds/direct.ctds") {
      EXPECT_EQ(o.status, CALM_CORRUPT_DATA);
      EXPECT_EQ(o.message, "offset 24: expected cmd_pos below the length 2 of sequence 2, found 7");
      continue;
    }
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    EXPECT_TRUE(o.warnings.empty());
    EXPECT_EQ(o.contents.field("vocab_version")->i64, entry["vocab_version"]);
    EXPECT_EQ(o.contents.field("count")->i64, entry["count"]);
    EXPECT_EQ(o.contents.field("max_len")->i64, entry["max_len"]);
    std::vector<std::uint16_t> lengths, positions, tokens;
    for (const auto &sample : entry["samples"]) {
      lengths.push_back(static_cast<std::uint16_t>(sample["ids"].size()));
      positions.push_back(sample["cmd_pos"]);
      for (const auto &id : sample["ids"]) {
        tokens.push_back(id);
      }
    }
    EXPECT_EQ(o.contents.tensor("lengths")->values<std::uint16_t>(), lengths);
    EXPECT_EQ(o.contents.tensor("cmd_pos")->values<std::uint16_t>(), positions);
    EXPECT_EQ(o.contents.tensor("tokens")->values<std::uint16_t>(), tokens);
    EXPECT_EQ(write(ctds(), o.contents).file, file);
    EXPECT_EQ(write(ctds(), document(lengths, positions, tokens)).file, file);
    ++compared;
  }
  EXPECT_GE(compared, 9);
}

TEST(Ctds, NoSequencesAreReadableButNotWritable) {
  Opened o = open(ctds(), raw(0, 0, {}));
  ASSERT_EQ(o.status, CALM_OK) << o.message;
  EXPECT_TRUE(o.warnings.empty());
  EXPECT_EQ(o.contents.field("count")->i64, 0);
  EXPECT_TRUE(o.contents.tensor("tokens")->data.empty());
  expect_unwritable(document({}, {}, {}), "lengths: expected 1 to 4294967295 sequences, found 0");
}

TEST(Ctds, AWrongMaxLenIsAWarning) {
  for (const std::uint16_t wrong : std::initializer_list<std::uint16_t>{0, 1, 3, 65535}) {
    const Opened o = open(ctds(), raw(1, wrong, {2, 0, 5, 6}));
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    ASSERT_EQ(o.warnings.size(), 1u);
    EXPECT_EQ(o.warnings[0], "offset 12: expected max_len 2, found " + std::to_string(wrong));
  }
}

TEST(Ctds, EveryTruncatedLengthAndEveryExtraByteIsRefused) {
  const Bytes whole = golden("ctds/case01.ctds");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    expect_refused(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)), "expected");
  }
  for (const std::size_t extra : {1u, 2u, 3u, 14u, 65536u}) {
    Bytes file = whole;
    file.resize(file.size() + extra);
    expect_refused(file, "offset " + std::to_string(whole.size()) + ": expected a file of " +
                             std::to_string(whole.size()) + " bytes");
  }
}

TEST(Ctds, BrokenFilesAreRefusedWithTheirOffset) {
  const std::vector<std::uint16_t> good = {2, 3, 0, 1, 10, 11, 20, 21, 22};
  ASSERT_EQ(open(ctds(), raw(2, 3, good)).status, CALM_OK);
  for (std::size_t i = 0; i < 4; ++i) {
    Bytes file = raw(2, 3, good);
    file[i] = std::byte{'X'};
    expect_refused(file, "offset 0: expected the magic CTDS");
  }
  for (const std::uint32_t count : {0u, 1u, 3u, 4u, 5u, 0x3fffffffu, 0x40000000u, 0x7fffffffu,
                                    0x80000000u, 0xfffffffeu, 0xffffffffu}) {
    expect_refused(raw(count, 3, good), "expected");
  }
  const auto with = [&](std::size_t at, std::uint16_t v) {
    std::vector<std::uint16_t> words = good;
    words[at] = v;
    return raw(2, 3, words);
  };
  expect_refused(with(0, 0), "offset 14: expected a length of at least 1 for sequence 0, found 0");
  expect_refused(with(1, 0), "offset 16: expected a length of at least 1 for sequence 1, found 0");
  for (const std::uint16_t length : std::initializer_list<std::uint16_t>{1, 3, 4, 319, 65535}) {
    expect_refused(with(0, length), "expected a file of");
  }
  for (const std::uint16_t position : std::initializer_list<std::uint16_t>{2, 3, 4, 255, 65535}) {
    expect_refused(with(2, position),
                   "offset 18: expected cmd_pos below the length 2 of sequence 0");
  }
  for (const std::uint16_t position : std::initializer_list<std::uint16_t>{3, 65535}) {
    expect_refused(with(3, position),
                   "offset 20: expected cmd_pos below the length 3 of sequence 1");
  }
  for (std::size_t i = 4; i < good.size(); ++i) {
    for (const std::uint16_t token :
         std::initializer_list<std::uint16_t>{320, 321, 512, 32768, 65535}) {
      expect_refused(with(i, token), "offset " + std::to_string(14 + 2 * i) +
                                         ": expected a token below 320, found " +
                                         std::to_string(token));
    }
    EXPECT_EQ(open(ctds(), with(i, 319)).status, CALM_OK);
  }
}

TEST(Ctds, LengthsThatWouldOverflow32BitsAreCountedIn64) {
  // 65538 sequences of 65535 tokens: 2^32 + 65534 tokens; in 32 bits the file would seem complete.
  const std::uint32_t count = 65538;
  std::vector<std::uint16_t> words(2 * std::size_t{count} + 65534, 0);
  std::fill_n(words.begin(), count, std::uint16_t{65535});
  const Opened o = open(ctds(), raw(count, 65535, words));
  EXPECT_EQ(o.status, CALM_CORRUPT_DATA);
  EXPECT_NE(o.message.find("expected a file of 8590327826 bytes"), std::string::npos) << o.message;
  EXPECT_LT(o.largest_allocation, 1u << 20);
}

TEST(Ctds, FaultsBeyondTheFirstPieceAreFound) {
  const std::size_t count = 200000;
  const std::vector<std::uint16_t> lengths(count, 3), positions(count, 2), tokens(3 * count, 300);
  const Bytes whole = write(ctds(), document(lengths, positions, tokens)).file;
  ASSERT_EQ(open(ctds(), whole).status, CALM_OK);
  const auto with = [&](std::size_t at, std::uint16_t v) {
    Bytes file = whole;
    put(file, at, v);
    return file;
  };
  const std::size_t last_length = 14 + 2 * (count - 1);
  expect_refused(with(last_length, 0), "offset " + std::to_string(last_length));
  const std::size_t last_position = last_length + 2 * count;
  expect_refused(with(last_position, 3), "offset " + std::to_string(last_position));
  expect_refused(with(whole.size() - 2, 320), "offset " + std::to_string(whole.size() - 2));
}

TEST(Ctds, AnyByteMayBeAnythingWithoutHarm) {
  const Bytes whole = golden("ctds/case07.ctds");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned v = 0; v < 256; ++v) {
      Bytes file = whole;
      file[at] = static_cast<std::byte>(v);
      const Opened o = open(ctds(), file);
      ASSERT_LT(o.largest_allocation, 1u << 20);
      if (o.status == CALM_OK && o.warnings.empty()) {
        ASSERT_EQ(write(ctds(), o.contents).file, file);
      }
    }
  }
}

TEST(Ctds, RandomDocumentsSurviveWriteAndRead) {
  std::mt19937_64 random(7);
  const std::uint16_t borders[] = {1, 2, 319, 320, 65534, 65535};
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint16_t> lengths, positions, tokens;
    for (std::size_t n = 1 + random() % 5; n > 0; --n) {
      const std::uint16_t length = random() % 8 == 0
                                       ? borders[random() % std::size(borders)]
                                       : static_cast<std::uint16_t>(1 + random() % 20);
      lengths.push_back(length);
      positions.push_back(static_cast<std::uint16_t>(random() % 2 == 0 ? length - 1 : 0));
      for (int i = 0; i < length; ++i) {
        tokens.push_back(static_cast<std::uint16_t>(random() % 320));
      }
    }
    const Contents c = document(lengths, positions, tokens);
    const Written w = write(ctds(), c);
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    Opened o = open(ctds(), w.file);
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    EXPECT_TRUE(o.warnings.empty());
    EXPECT_EQ(o.contents.field("vocab_version")->i64, 0);
    for (std::size_t i = 0; i < 3; ++i) {
      ASSERT_EQ(o.contents.tensors[i].data, c.tensors[i].data);
    }
    ASSERT_EQ(write(ctds(), o.contents).file, w.file);
  }
}

TEST(Ctds, TheVocabularyVersionOfAFileIsKept) {
  Bytes file = raw(1, 2, {2, 0, 5, 6});
  put<std::uint32_t>(file, 4, 0xffffffff);
  const Opened o = open(ctds(), file);
  ASSERT_EQ(o.status, CALM_OK) << o.message;
  EXPECT_EQ(write(ctds(), o.contents).file, file);
}

TEST(Ctds, WhatCannotBeReadIsNotWritten) {
  expect_unwritable(document({1, 1}, {0}, {1, 2}), "cmd_pos: expected 2 values");
  expect_unwritable(document({1}, {0, 0}, {1}), "cmd_pos: expected 1 values");
  expect_unwritable(document({0}, {0}, {}), "lengths: expected a length of at least 1");
  expect_unwritable(document({2}, {2}, {1, 2}), "cmd_pos: expected a position below the length 2");
  expect_unwritable(document({2}, {0}, {1}), "tokens: expected 2 values");
  expect_unwritable(document({2}, {0}, {1, 2, 3}), "tokens: expected 2 values");
  expect_unwritable(document({2}, {0}, {1, 320}),
                    "tokens: expected a token below 320, found 320 at element 1");
  for (const char *name : {"lengths", "cmd_pos", "tokens"}) {
    Contents c = document({2}, {0}, {1, 2});
    c.tensor(name)->type.dtype = CALM_F16;
    expect_unwritable(c, std::string(name) + ": expected u16 values on one axis, found f16");
    c = document({2}, {0}, {1, 2});
    c.remove_tensor(name);
    expect_unwritable(c, std::string(name) + ": expected u16 values, found nothing");
  }
  Contents c = document({2}, {0}, {1, 2});
  c.add<std::uint16_t>("more", CALM_U16, {1}, {1});
  expect_unwritable(c, "more: expected only lengths, cmd_pos and tokens");
  c = document({2}, {0}, {1, 2});
  c.set("author", std::string("me"));
  expect_unwritable(c, "author: expected only vocab_version, count and max_len");
  c = document({2}, {0}, {1, 2});
  c.set("count", std::int64_t{2});
  expect_unwritable(c, "count: expected 1, found 2");
  for (const std::int64_t version : {std::int64_t{-1}, std::int64_t{1} << 32}) {
    c = document({2}, {0}, {1, 2});
    c.set("vocab_version", version);
    expect_unwritable(c, "vocab_version: expected");
  }
}

}  // namespace
}  // namespace calm::formats_test
