#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "support.hpp"

namespace calm::formats_test {
namespace {

const calm_format &safetensors() { return format("safetensors"); }

Bytes raw(const std::string &header, std::size_t data_bytes) {
  Bytes file(8 + header.size() + data_bytes);
  put<std::uint64_t>(file, 0, header.size());
  std::memcpy(file.data() + 8, header.data(), header.size());
  for (std::size_t i = 0; i < data_bytes; ++i) {
    file[8 + header.size() + i] = static_cast<std::byte>(i);
  }
  return file;
}

Opened expect_refused(const Bytes &file, const std::string &label) {
  Opened o = open(safetensors(), file);
  EXPECT_EQ(o.status, CALM_CORRUPT_DATA) << label;
  EXPECT_EQ(o.message.rfind("offset ", 0), 0u) << o.message;
  EXPECT_EQ(o.message.find('\n'), std::string::npos) << o.message;
  EXPECT_LT(o.largest_allocation, 1u << 20) << label;
  return o;
}

// One tensor "a" described by `members`.
std::string one(const std::string &members) { return "{\"a\":{" + members + "}}"; }
std::string shaped(const std::string &shape, const std::string &offsets = "[0,4]",
                   const std::string &dtype = "F32") {
  return one("\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
}

// A member of the header: `size` bytes from `begin` on.
std::string bytes_entry(const std::string &name, int begin, int size) {
  return "\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(size) +
         "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(begin + size) + "]}";
}

TEST(Safetensors, GoldenFilesAreWrittenBackByteForByte) {
  for (const char *name : {"pico_weights.safetensors", "tiny_weights.safetensors"}) {
    const Bytes file = golden(name);
    EXPECT_EQ(safetensors().probe(file.data(), 64, file.size()), 90u);
    const Opened o = open(safetensors(), file);
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    EXPECT_TRUE(o.contents.fields.empty());
    const Written w = write(safetensors(), o.contents);
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    EXPECT_EQ(w.file, file) << name;
  }
}

TEST(Safetensors, ProbeWantsABraceAndPrefersALengthThatFits) {
  const Bytes file = raw("{}", 0);
  EXPECT_EQ(safetensors().probe(file.data(), file.size(), file.size()), 90u);
  EXPECT_EQ(safetensors().probe(file.data(), file.size(), file.size() - 1), 50u);
  EXPECT_EQ(safetensors().probe(file.data(), 8, 8), 0u);
  EXPECT_EQ(safetensors().probe(nullptr, 0, 0), 0u);
  for (const char *other : {"tiny_nometa.cwgt", "ctds/case00.ctds"}) {
    const Bytes bytes = golden(other);
    EXPECT_EQ(safetensors().probe(bytes.data(), 64, bytes.size()), 0u);
  }
}

TEST(Safetensors, LegalHeadersAreRead) {
  struct Case {
    std::string header;
    std::size_t data;
    std::size_t tensors;
  };
  const Case cases[] = {
      {"{}", 0, 0},
      {"{}      ", 0, 0},
      {"{ \"a\" : { \"shape\" : [ 1 ] , \"data_offsets\" : [ 0 , 4 ] , \"dtype\" : \"F32\" } }\n",
       4, 1},
      {shaped("[1]"), 4, 1},
      {shaped("[]"), 4, 1},
      {shaped("[1,1,1,1,1,1,1,1]"), 4, 1},
      {shaped("[0]", "[0,0]"), 0, 1},
      {shaped("[2147483647,0]", "[0,0]", "U8"), 0, 1},
      {shaped("[4]", "[0,4]", "I8"), 4, 1},
      {shaped("[4]", "[0,4]", "U8"), 4, 1},
      {shaped("[2]", "[0,4]", "U16"), 4, 1},
      {shaped("[2]", "[0,4]", "F16"), 4, 1},
      {shaped("[2]", "[0,4]", "BF16"), 4, 1},
      {shaped("[1]", "[0,4]", "I32"), 4, 1},
      {shaped("[1]", "[0,4]", "U32"), 4, 1},
      {shaped("[1]", "[0,8]", "I64"), 8, 1},
      {shaped("[1]", "[0,8]", "F64"), 8, 1},
      {"{\"__metadata__\":{}}", 0, 0},
      {"{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]},"
       "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
       2, 2},
      {"{\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]},"
       "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
       "\"c\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
       1, 3},
      {"{\"" + std::string(1024, 'n') +
           "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
       1, 1},
      {"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 1},
      {"{\"\\u00e9\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 1},
  };
  for (const Case &c : cases) {
    const Opened o = open(safetensors(), raw(c.header, c.data));
    EXPECT_EQ(o.status, CALM_OK) << c.header << ": " << o.message;
    EXPECT_EQ(o.contents.tensors.size(), c.tensors) << c.header;
  }
}

TEST(Safetensors, TensorsKeepTheOrderOfTheHeaderAndMetadataBecomesFields) {
  Opened o =
      open(safetensors(), raw("{\"__metadata__\":{\"z\":\"1\",\"a\":\"\"},"
                              "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
                              "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                              3));
  ASSERT_EQ(o.status, CALM_OK) << o.message;
  ASSERT_EQ(o.contents.fields.size(), 2u);
  EXPECT_EQ(o.contents.fields[0].name, "z");
  EXPECT_EQ(o.contents.fields[0].str, "1");
  ASSERT_EQ(o.contents.tensors.size(), 2u);
  EXPECT_EQ(o.contents.tensors[0].name, "b");
  EXPECT_EQ(o.contents.tensors[0].values<std::uint8_t>(), (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(o.contents.tensors[1].values<std::uint8_t>(), (std::vector<std::uint8_t>{0}));
}

TEST(Safetensors, MalformedHeadersAreRefused) {
  const std::string good = "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]";
  std::string deep_list, deep_map;
  for (int i = 0; i < 100000; ++i) {
    deep_list += '[';
    deep_map += "{\"a\":";
  }
  const std::string cases[] = {
      // not JSON, or not an object
      "",
      " {}",
      "[]",
      "null",
      "1",
      "\"a\"",
      "{",
      "}",
      "{]",
      "{\"a\"}",
      "{\"a\":}",
      "{,}",
      "{}x",
      "{}{}",
      "{} {}",
      "{\"a\":{" + good + "},}",
      "{'a':{" + good + "}}",
      "{a:{" + good + "}}",
      "{/* */}",
      "{}//",
      "\xef\xbb\xbf{}",
      std::string("{}\0", 3),
      std::string("{}\0{}", 5),
      one(good) + std::string("\0\0\0", 3),
      "{\"\xff\":{" + good + "}}",
      "{\"\xc3\":{" + good + "}}",
      "{\"\xed\xa0\x80\":{" + good + "}}",
      "{\"\\ud800\":{" + good + "}}",
      "{\"a\n\":{" + good + "}}",
      "{\"\\x41\":{" + good + "}}",
      deep_list,
      deep_map,
      "{\"a\":" + deep_list,
      "{\"a\":{\"shape\":" + deep_list,
      // a tensor that is something else
      "{\"a\":null}",
      "{\"a\":1}",
      "{\"a\":\"F32\"}",
      "{\"a\":[]}",
      "{\"a\":{}}",
      "{\"a\":true}",
      // members missing, twice, unknown, or of another type
      one("\"dtype\":\"F32\",\"shape\":[1]"),
      one("\"dtype\":\"F32\",\"data_offsets\":[0,4]"),
      one("\"shape\":[1],\"data_offsets\":[0,4]"),
      one(good + ",\"dtype\":\"F32\""),
      one(good + ",\"shape\":[1]"),
      one(good + ",\"data_offsets\":[0,4]"),
      one(good + ",\"more\":1"),
      one(good + ",\"more\":{}"),
      one("\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]"),
      one("\"dtype\":null,\"shape\":[1],\"data_offsets\":[0,4]"),
      one("\"dtype\":[\"F32\"],\"shape\":[1],\"data_offsets\":[0,4]"),
      shaped("1"),
      shaped("{}"),
      shaped("null"),
      shaped("\"1\""),
      shaped("[\"1\"]"),
      shaped("[[1]]"),
      shaped("[null]"),
      shaped("[true]"),
      shaped("[1]", "4"),
      shaped("[1]", "{}"),
      shaped("[1]", "[\"0\",4]"),
      shaped("[1]", "[[0,4]]"),
      // dtypes
      shaped("[1]", "[0,4]", "f32"),
      shaped("[1]", "[0,4]", ""),
      shaped("[1]", "[0,4]", "F33"),
      shaped("[4]", "[0,4]", "BOOL"),
      shaped("[4]", "[0,4]", "F8_E4M3"),
      shaped("[1]", "[0,8]", "U64"),
      // shapes
      shaped("[-1]"),
      shaped("[1.0]"),
      shaped("[1e0]"),
      shaped("[2]"),
      shaped("[0]"),
      shaped("[1,2]"),
      shaped("[1,1,1,1,1,1,1,1,1]"),
      shaped("[9223372036854775808]"),
      shaped("[18446744073709551615]"),
      shaped("[18446744073709551616]"),
      shaped("[4611686018427387904]"),
      shaped("[4611686018427387905]"),
      shaped("[4294967296,4294967296]"),
      shaped("[9223372036854775807,2,0]", "[0,0]"),
      shaped("[0,9223372036854775807,2]", "[0,0]"),
      shaped("[9223372036854775807]"),
      // ranges
      shaped("[1]", "[]"),
      shaped("[1]", "[0]"),
      shaped("[1]", "[0,4,4]"),
      shaped("[1]", "[4,0]"),
      shaped("[1]", "[4,8]"),
      shaped("[1]", "[1,5]"),
      shaped("[1]", "[0,3]"),
      shaped("[1]", "[0,5]"),
      shaped("[1]", "[-4,0]"),
      shaped("[1]", "[0,4.0]"),
      shaped("[1]", "[18446744073709551612,0]"),
      shaped("[1]", "[0,18446744073709551615]"),
      shaped("[2]", "[0,8]"),
      shaped("[0]", "[0,0]"),
      // several tensors: overlap, hole, duplicate name
      "{" + bytes_entry("a", 0, 4) + ',' + bytes_entry("b", 0, 4) + '}',
      "{" + bytes_entry("a", 0, 3) + ',' + bytes_entry("b", 2, 2) + '}',
      "{" + bytes_entry("a", 0, 1) + ',' + bytes_entry("b", 2, 2) + '}',
      "{" + bytes_entry("a", 0, 4) + ',' + bytes_entry("b", 2, 0) + '}',
      "{" + bytes_entry("a", 0, 2) + ',' + bytes_entry("a", 2, 2) + '}',
      // metadata and names
      "{\"__metadata__\":null,\"a\":{" + good + "}}",
      "{\"__metadata__\":[],\"a\":{" + good + "}}",
      "{\"__metadata__\":\"x\",\"a\":{" + good + "}}",
      "{\"__metadata__\":{\"k\":1},\"a\":{" + good + "}}",
      "{\"__metadata__\":{\"k\":null},\"a\":{" + good + "}}",
      "{\"__metadata__\":{\"k\":{}},\"a\":{" + good + "}}",
      "{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"},\"a\":{" + good + "}}",
      "{\"__metadata__\":{},\"__metadata__\":{},\"a\":{" + good + "}}",
      "{\"__metadata__\":{\"" + std::string(1025, 'k') + "\":\"\"},\"a\":{" + good + "}}",
      "{\"" + std::string(1025, 'n') + "\":{" + good + "}}",
  };
  for (const std::string &header : cases) {
    expect_refused(raw(header, 4), header.substr(0, 200));
  }
  EXPECT_GE(std::size(cases), 85u);
  for (const std::size_t data : {0u, 3u, 5u, 8u}) {
    expect_refused(raw(shaped("[1]"), data), "data of another size");
  }
}

TEST(Safetensors, MessagesNameTheTensorAndThePlace) {
  const auto message = [](const std::string &header) {
    return open(safetensors(), raw(header, 4)).message;
  };
  EXPECT_EQ(message(shaped("[1]", "[0,4]", "BOOL")),
            "offset 28: expected dtype F32, F64, BF16, F16, I8, U8, U16, I32, U32 or I64 of \"a\", "
            "found \"BOOL\"");
  EXPECT_EQ(message(shaped("[2]")),
            "offset 61: expected 8 bytes between the data_offsets of \"a\", found 0 to 4");
  EXPECT_EQ(message(shaped("[1]", "[4,8]")),
            "offset 62: expected data_offsets of \"a\" to start at 0, found 4");
  EXPECT_EQ(message("{\"x\\n\xc2\x9b\":1}"),
            "offset 19: expected the object that describes a tensor of \"x\\n\\u009b\", found 1");
}

TEST(Safetensors, HeaderLengthsAreCheckedBeforeAnythingIsRead) {
  for (const std::uint64_t length :
       {std::uint64_t{72}, std::uint64_t{1} << 20, std::uint64_t{16} << 20,
        (std::uint64_t{16} << 20) + 1, std::uint64_t{100000000}, std::uint64_t{1} << 32,
        std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    Bytes file = raw(shaped("[1]"), 4);
    put(file, 0, length);
    expect_refused(file, std::to_string(length));
  }
  // 16 MiB are allowed, a byte more is not.
  std::string padded = "{}";
  padded.resize(16 << 20, ' ');
  EXPECT_EQ(open(safetensors(), raw(padded, 0)).status, CALM_OK);
  padded += ' ';
  expect_refused(raw(padded, 0), "header above 16 MiB");
}

TEST(Safetensors, AtMost65536TensorsAreRead) {
  const auto many = [](int n) {
    std::string header = "{";
    for (int i = 0; i < n; ++i) {
      header += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
                "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
    }
    return raw(header + '}', 0);
  };
  EXPECT_EQ(open(safetensors(), many(65536)).status, CALM_OK);
  EXPECT_EQ(open(safetensors(), many(65537)).status, CALM_CORRUPT_DATA);
}

TEST(Safetensors, EveryTruncatedLengthAndEveryExtraByteIsRefused) {
  const Bytes whole = golden("tiny_weights.safetensors");
  for (std::size_t n = 0; n < whole.size(); n += n < 1600 ? 1 : 7) {
    expect_refused(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)), std::to_string(n));
  }
  for (const std::size_t extra : {1u, 4u, 8u, 4096u}) {
    Bytes file = whole;
    file.resize(file.size() + extra);
    expect_refused(file, "extra bytes");
  }
}

TEST(Safetensors, AnyHeaderByteMayBeAnythingWithoutHarm) {
  const Bytes whole =
      raw("{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"U8\",\"shape\":[2,1],"
          "\"data_offsets\":[0,2]}}",
          2);
  for (std::size_t at = 0; at + 2 < whole.size(); ++at) {
    for (unsigned v = 0; v < 256; ++v) {
      Bytes file = whole;
      file[at] = static_cast<std::byte>(v);
      const Opened o = open(safetensors(), file);
      ASSERT_LT(o.largest_allocation, 1u << 20);
      if (o.status == CALM_OK) {
        const Written w = write(safetensors(), o.contents);
        ASSERT_EQ(w.status, CALM_OK) << w.message;
        ASSERT_EQ(open(safetensors(), w.file).status, CALM_OK);
      }
    }
  }
}

TEST(Safetensors, HeadersArePaddedToEightAndKeepTheGivenOrder) {
  Contents c;
  c.add<std::uint8_t>("z", CALM_U8, {3}, {1, 2, 3});
  c.add<float>("a", CALM_F32, {}, {1.0F});
  c.add<float>("n", CALM_F32, {2, 0}, {});
  c.set("note", std::string("say \"hi\"\n"));
  const Written w = write(safetensors(), c);
  ASSERT_EQ(w.status, CALM_OK) << w.message;
  std::uint64_t length = 0;
  std::memcpy(&length, w.file.data(), sizeof length);
  EXPECT_EQ(length % 8, 0u);
  std::string header(reinterpret_cast<const char *>(w.file.data()) + 8, length);
  header.erase(header.find_last_not_of(' ') + 1);
  EXPECT_EQ(header,
            "{\"__metadata__\":{\"note\":\"say \\\"hi\\\"\\n\"},"
            "\"z\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[3,7]},"
            "\"n\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[7,7]}}");
  EXPECT_EQ(write(safetensors(), c).file, w.file);
}

TEST(Safetensors, RandomDocumentsSurviveWriteAndRead) {
  std::mt19937_64 random(11);
  const std::string names[] = {"",        "a",        "model/x.weight", "\xc3\xa9",
                               "quote\"", "\n\t\x01", "__metadata",     "\xf0\x9f\x98\x80"};
  for (int round = 0; round < 2000; ++round) {
    Contents c;
    for (std::size_t n = random() % 6; n > 0; --n) {
      Tensor t;
      t.name = names[random() % std::size(names)] + std::to_string(n);
      t.type.dtype = static_cast<calm_dtype>(1 + random() % 10);
      t.type.rank = static_cast<std::uint32_t>(random() % 9);
      for (std::uint32_t i = 0; i < t.type.rank; ++i) {
        t.type.shape[i] = static_cast<std::int64_t>(random() % 3);
      }
      t.data.resize(bytes_of(t.type));
      for (std::byte &b : t.data) {
        b = static_cast<std::byte>(random());
      }
      c.tensors.push_back(std::move(t));
    }
    for (std::size_t n = random() % 3; n > 0; --n) {
      c.set(names[random() % std::size(names)], names[random() % std::size(names)]);
    }
    const Written w = write(safetensors(), c);
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    const Opened o = open(safetensors(), w.file);
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    ASSERT_EQ(o.contents.tensors.size(), c.tensors.size());
    ASSERT_EQ(o.contents.fields.size(), c.fields.size());
    for (std::size_t i = 0; i < c.tensors.size(); ++i) {
      ASSERT_EQ(o.contents.tensors[i].name, c.tensors[i].name);
      ASSERT_EQ(describe(o.contents.tensors[i].type), describe(c.tensors[i].type));
      ASSERT_EQ(o.contents.tensors[i].data, c.tensors[i].data);
    }
    for (std::size_t i = 0; i < c.fields.size(); ++i) {
      ASSERT_EQ(o.contents.fields[i].name, c.fields[i].name);
      ASSERT_EQ(o.contents.fields[i].str, c.fields[i].str);
    }
    ASSERT_EQ(write(safetensors(), o.contents).file, w.file);
  }
}

TEST(Safetensors, WhatCannotBeReadIsNotWritten) {
  const auto refused = [](const Contents &c, const std::string &message) {
    const Written w = write(safetensors(), c);
    EXPECT_EQ(w.status, CALM_INVALID_ARGUMENT) << message;
    EXPECT_NE(w.message.find(message), std::string::npos)
        << "expected: " << message << "\nfound:    " << w.message;
  };
  Contents c;
  c.add<std::uint8_t>("__metadata__", CALM_U8, {1}, {1});
  refused(c, "\"__metadata__\": expected another name");
  c = {};
  c.add<std::uint8_t>(std::string(1025, 'n'), CALM_U8, {1}, {1});
  refused(c, "expected a name of at most 1024 bytes, found 1025");
  c = {};
  c.add<std::uint8_t>("\xff", CALM_U8, {1}, {1});
  refused(c, "expected UTF-8");
  c = {};
  c.add<std::uint8_t>("a", CALM_U8, {1}, {1});
  c.tensors.push_back(c.tensors[0]);
  refused(c, "a: expected one tensor of this name, found two");
  for (const calm_dtype dtype : {calm_dtype{0}, calm_dtype{11}, ~calm_dtype{0}}) {
    c = {};
    c.add<std::uint8_t>("a", dtype, {1}, {1});
    refused(c, "a: expected a known dtype");
  }
  c = {};
  c.add<std::uint8_t>("a", CALM_U8, {1}, {1});
  c.tensors[0].type.rank = 9;
  refused(c, "a: expected a known dtype, a shape and data");
  c.tensors[0].type.rank = 1;
  c.tensors[0].type.shape[0] = -1;
  refused(c, "a: expected a known dtype, a shape and data");
  c.tensors[0].type.rank = 2;
  c.tensors[0].type.shape[0] = c.tensors[0].type.shape[1] = std::int64_t{1} << 32;
  refused(c, "a: expected a known dtype, a shape and data");
  for (const std::vector<std::int64_t> &shape :
       {std::vector<std::int64_t>{std::int64_t{1} << 62, 0},
        {0, std::int64_t{1} << 31},
        {0, std::numeric_limits<std::int64_t>::max(), 2}}) {
    c = {};
    c.add<std::uint8_t>("a", CALM_U8, {}, {1});
    c.tensors[0].type.rank = static_cast<std::uint32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), c.tensors[0].type.shape);
    refused(c, "\"a\": expected at most 2147483647 elements, each axis of 0 counted as 1");
  }
  c = {};
  c.set("n", std::int64_t{1});
  refused(c, "\"n\": expected a text");
  c = {};
  c.set("n", std::string("\xff"));
  refused(c, "\"n\": expected UTF-8");
  c = {};
  c.set("n", std::string(16 << 20, 'x'));
  refused(c, "expected names and metadata that fit a header");
}

}  // namespace
}  // namespace calm::formats_test
