#include "variants.hpp"

namespace calm::formats_test {
namespace {

using Bytes = std::vector<std::byte>;

const std::string kTensor = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";

// One tensor "a" described by `members`.
std::string one(const std::string &members) { return "{\"a\":{" + members + "}}"; }
std::string named(const std::string &name) { return "{\"" + name + "\":" + kTensor + "}"; }
std::string shaped(const std::string &shape, const std::string &offsets = "[0,4]",
                   const std::string &dtype = "F32") {
  return one("\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
}
// A member of the header: bytes from `begin` to `end`.
std::string bytes(const std::string &name, int begin, int end) {
  return "\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(end - begin) +
         "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}";
}
std::string metadata(const std::string &value) {
  return "{\"__metadata__\":" + value + ",\"a\":" + kTensor + "}";
}
std::string many(const std::string &piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) {
    text += piece;
  }
  return text;
}
std::string tensors(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    header += (i == 0 ? "" : ",") + bytes(std::to_string(i), 0, 0);
  }
  return header + '}';
}

// A header with `data` bytes behind it.
struct HeaderRow {
  const char *name;
  std::string header;
  std::size_t data;
  calm_status status;
  const char *message;
};

std::vector<HeaderRow> headers() {
  const calm_status ok = CALM_OK, bad = CALM_CORRUPT_DATA;
  const char *not_json = "expected a JSON header";
  return {
      {"one tensor", shaped("[1]"), 4, ok, ""},
      {"no tensor", "{}", 0, ok, ""},
      {"white space",
       "{ \"a\" : { \"shape\" : [ 1 ],\n\"data_offsets\":[0,4],\t\"dtype\":\"F32\"} } ", 4, ok, ""},
      // not JSON, or not an object
      {"an empty header", "", 4, bad, "offset 8: expected a JSON header that starts with a brace"},
      {"a space before the brace", " {}", 0, bad, "starts with a brace"},
      {"a list", "[]", 0, bad, "starts with a brace"},
      {"a null", "null", 0, bad, "starts with a brace"},
      {"an open brace", "{", 0, bad, not_json},
      {"a name without a value", "{\"a\"}", 0, bad, not_json},
      {"a comma before the end", "{\"a\":" + kTensor + ",}", 4, bad, not_json},
      {"single quotes", "{'a':" + kTensor + "}", 4, bad, not_json},
      {"a name without quotes", "{a:" + kTensor + "}", 4, bad, not_json},
      {"a comment", "{/* */}", 0, bad, not_json},
      {"two objects", "{}{}", 0, bad, not_json},
      {"text behind the object", "{}x", 0, bad, not_json},
      {"a byte order mark", "\xef\xbb\xbf{}", 0, bad, "starts with a brace"},
      {"a zero behind the object", std::string("{}\0", 3), 0, bad, "found a byte of 0"},
      {"a zero and more behind the object", std::string("{}\0{\"a\":1}", 10), 0, bad,
       "offset 10: expected a JSON header, found a byte of 0"},
      // depth
      {"100000 lists", many("[", 100000), 0, bad, "starts with a brace"},
      {"100000 objects", many("{\"a\":", 100000), 0, bad, "expected dtype, shape or data_offsets"},
      {"100000 lists as a tensor", "{\"a\":" + many("[", 100000), 0, bad, "found an array"},
      {"100000 lists as a shape", "{\"a\":{\"shape\":" + many("[", 100000), 0, bad, "in shape"},
      {"100000 objects as metadata", "{\"__metadata__\":" + many("{\"a\":", 100000), 0, bad,
       "expected a text in __metadata__"},
      // names
      {"an empty name", named(""), 4, ok, ""},
      {"a name with escapes", named("\\u00e9\\n\\u0000\\u001b[2J"), 4, ok, ""},
      {"a name of UTF-8", named("\xc3\xa9\xf0\x9f\x98\x80"), 4, ok, ""},
      {"a name of 1024 bytes", named(std::string(1024, 'n')), 4, ok, ""},
      {"a name of 1025 bytes", named(std::string(1025, 'n')), 4, bad,
       "names of at most 1024 bytes"},
      {"a name of a megabyte", named(std::string(1 << 20, 'n')), 4, bad, "names of at most 1024"},
      {"a name not UTF-8", named("\xff"), 4, bad, not_json},
      {"a name cut in a character", named("\xc3"), 4, bad, not_json},
      {"a name with a surrogate", named("\xed\xa0\x80"), 4, bad, not_json},
      {"a name with half an escaped pair", named("\\ud800"), 4, bad, not_json},
      {"a name with a raw line feed", named("a\n"), 4, bad, not_json},
      {"a name with a raw zero", named(std::string("a\0b", 3)), 4, bad, "found a byte of 0"},
      {"a name with an unknown escape", named("\\x41"), 4, bad, not_json},
      {"two tensors of one name", "{" + bytes("a", 0, 2) + ',' + bytes("a", 2, 4) + '}', 4, bad,
       "expected one \"a\", found two"},
      {"one name in two spellings", "{" + bytes("a", 0, 2) + ',' + bytes("\\u0061", 2, 4) + '}', 4,
       bad, "expected one \"a\", found two"},
      // a tensor that is something else
      {"a tensor of null", "{\"a\":null}", 0, bad, "the object that describes a tensor of \"a\""},
      {"a tensor of a number", "{\"a\":1}", 0, bad, "the object that describes a tensor"},
      {"a tensor of a text", "{\"a\":\"F32\"}", 0, bad, "the object that describes a tensor"},
      {"a tensor of nothing", "{\"a\":{}}", 0, bad, "expected dtype of \"a\", found none"},
      {"no dtype", one(R"("shape":[1],"data_offsets":[0,4])"), 4, bad, "expected dtype of \"a\""},
      {"no shape", one(R"("dtype":"F32","data_offsets":[0,4])"), 4, bad, "expected shape of \"a\""},
      {"no data_offsets", one(R"("dtype":"F32","shape":[1])"), 4, bad, "expected data_offsets of"},
      {"dtype twice", one(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4,
       bad, "expected one dtype of \"a\", found two"},
      {"shape twice", one(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])"), 4, bad,
       "expected one shape of"},
      {"an unknown member", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"), 4, bad,
       "expected dtype, shape or data_offsets"},
      // dtype
      {"dtype f32", shaped("[1]", "[0,4]", "f32"), 4, bad, "expected dtype F32"},
      {"dtype BOOL", shaped("[4]", "[0,4]", "BOOL"), 4, bad, "found \"BOOL\""},
      {"dtype F8_E4M3", shaped("[4]", "[0,4]", "F8_E4M3"), 4, bad, "expected dtype F32"},
      {"dtype of nothing", shaped("[1]", "[0,4]", ""), 4, bad, "expected dtype F32"},
      {"dtype of a number", one(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), 4, bad,
       "a text as dtype"},
      {"dtype of twice the size", shaped("[1]", "[0,4]", "F64"), 4, bad,
       "expected 8 bytes between"},
      {"dtype of half the size", shaped("[1]", "[0,4]", "BF16"), 4, bad,
       "expected 2 bytes between"},
      {"every dtype of a byte", shaped("[4]", "[0,4]", "I8"), 4, ok, ""},
      {"every dtype of eight", shaped("[1]", "[0,8]", "I64"), 8, ok, ""},
      // shape
      {"a scalar", shaped("[]"), 4, ok, ""},
      {"eight axes", shaped("[1,1,1,1,1,1,1,1]"), 4, ok, ""},
      {"nine axes", shaped("[1,1,1,1,1,1,1,1,1]"), 4, bad, "expected at most 8 axes of \"a\""},
      {"a million axes", shaped("[1" + many(",1", 1000000) + "]"), 4, bad, "at most 8 axes"},
      {"a shape that is too large", shaped("[2]"), 4, bad, "expected 8 bytes between"},
      {"a negative shape", shaped("[-1]"), 4, bad,
       "a size of at least 0 in shape of \"a\", found -1"},
      {"a shape of 1.0", shaped("[1.0]"), 4, bad, "in shape of \"a\", found 1.0"},
      {"a shape of 1e0", shaped("[1e0]"), 4, bad, "in shape of \"a\", found 1e0"},
      {"a shape of 1e400", shaped("[1e400]"), 4, bad, "expected a"},
      {"a shape of -0", shaped("[-0]", "[0,0]"), 0, bad, "in shape of \"a\""},
      {"a shape of 01", shaped("[01]"), 4, bad, not_json},
      {"a shape of nan", shaped("[NaN]"), 4, bad, not_json},
      {"a shape of a text", shaped("[\"1\"]"), 4, bad, "in shape of \"a\", found a text"},
      {"a shape of null", shaped("[null]"), 4, bad, "in shape of \"a\", found null"},
      {"a shape in a list", shaped("[[1]]"), 4, bad, "in shape of \"a\", found an array"},
      {"a shape of 2^62", shaped("[4611686018427387904]"), 4, bad, "a tensor below 2^63 bytes"},
      {"a shape of 2^63", shaped("[9223372036854775808]"), 4, bad, "a size below 2^63 in shape"},
      {"a shape of 2^64", shaped("[18446744073709551616]"), 4, bad, "in shape of \"a\""},
      {"a shape of 2^32 * 2^32", shaped("[4294967296,4294967296]", "[0,0]"), 0, bad, "below 2^63"},
      {"a shape of 2^62 + 1", shaped("[4611686018427387905]"), 4, bad, "below 2^63"},
      // tensors without an element
      {"a shape of 0", shaped("[0]", "[0,0]"), 0, ok, ""},
      {"a shape of 1000 * 0", shaped("[1000,0]", "[0,0]"), 0, ok, ""},
      {"a shape of 0 that holds bytes", shaped("[0]"), 4, bad, "expected 0 bytes between"},
      {"a shape of 2^62 * 0", shaped("[4611686018427387904,0]", "[0,0]", "U8"), 0, bad,
       "expected at most 2147483647 elements in \"a\", each axis of 0 counted as 1"},
      {"a shape of 0 * 2^31", shaped("[0,2147483648]", "[0,0]", "U8"), 0, bad,
       "at most 2147483647"},
      {"a shape of 2^20 * 0 * 2^20", shaped("[1048576,0,1048576]", "[0,0]"), 0, bad,
       "at most 2147"},
      {"a shape of 0 * 2^63 * 2", shaped("[0,9223372036854775807,2]", "[0,0]"), 0, bad,
       "below 2^63"},
      // ranges
      {"no offset", shaped("[1]", "[]"), 4, bad, "expected two data_offsets, found 0"},
      {"one offset", shaped("[1]", "[4]"), 4, bad, "expected two data_offsets, found 1"},
      {"three offsets", shaped("[1]", "[0,4,4]"), 4, bad, "expected two sizes of at least 0"},
      {"offsets turned round", shaped("[1]", "[4,0]"), 4, bad, "expected 4 bytes between"},
      {"negative offsets", shaped("[1]", "[-4,0]"), 4, bad, "in data_offsets of \"a\", found -4"},
      {"an offset of 4.0", shaped("[1]", "[0,4.0]"), 4, bad, "in data_offsets of \"a\", found 4.0"},
      {"offsets that wrap", shaped("[1]", "[18446744073709551612,0]"), 4, bad, "4 bytes between"},
      {"offsets past the end", shaped("[1]", "[4,8]"), 4, bad, "to start at 0, found 4"},
      {"a hole before", shaped("[3]", "[1,4]", "U8"), 4, bad, "to start at 0, found 1"},
      {"a hole between", "{" + bytes("a", 0, 1) + ',' + bytes("b", 2, 4) + '}', 4, bad,
       "offset 114: expected data_offsets of \"b\" to start at 1, found 2"},
      {"a hole behind", shaped("[3]", "[0,3]", "U8"), 4, bad, "expected 3 bytes of data, found 4"},
      {"an overlap", "{" + bytes("a", 0, 3) + ',' + bytes("b", 2, 4) + '}', 4, bad, "found 2"},
      {"the same range twice", "{" + bytes("a", 0, 4) + ',' + bytes("b", 0, 4) + '}', 4, bad,
       "of \"b\" to start at 4, found 0"},
      {"an empty range inside another", "{" + bytes("a", 0, 4) + ',' + bytes("b", 2, 2) + '}', 4,
       bad, "to start at 4, found 2"},
      {"ranges in another order", "{" + bytes("b", 2, 4) + ',' + bytes("a", 0, 2) + '}', 4, ok, ""},
      {"empty ranges at both ends",
       "{" + bytes("c", 4, 4) + ',' + bytes("a", 0, 4) + ',' + bytes("b", 0, 0) + '}', 4, ok, ""},
      // data
      {"no data", shaped("[1]"), 0, bad, "expected 4 bytes of data, found 0"},
      {"a byte of data short", shaped("[1]"), 3, bad, "expected 4 bytes of data, found 3"},
      {"a byte of data more", shaped("[1]"), 5, bad, "expected 4 bytes of data, found 5"},
      {"data without a tensor", "{}", 4, bad, "expected 0 bytes of data, found 4"},
      // metadata
      {"metadata", metadata("{\"k\":\"v\",\"\":\"\"}"), 4, ok, ""},
      {"metadata with control characters", metadata("{\"\\u001b\":\"\\u0000\\u009b\"}"), 4, ok, ""},
      {"metadata of null", metadata("null"), 4, bad, "expected an object of texts in __metadata__"},
      {"metadata of a number", metadata("{\"k\":1}"), 4, bad, "expected a text in __metadata__"},
      {"metadata in metadata", metadata("{\"k\":{}}"), 4, bad, "expected a text in __metadata__"},
      {"metadata of one key twice", metadata("{\"k\":\"\",\"k\":\"\"}"), 4, bad, "found two"},
      {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, bad, "found two"},
      {"a metadata key of 1025 bytes", metadata("{\"" + std::string(1025, 'k') + "\":\"\"}"), 4,
       bad, "names of at most 1024"},
      // counts
      {"65536 tensors", tensors(65536), 0, ok, ""},
      {"65537 tensors", tensors(65537), 0, bad, "expected at most 65536 tensors, found more"},
      {"a header of 16 MiB", "{}" + std::string((16 << 20) - 2, ' '), 0, ok, ""},
      {"a header above 16 MiB", "{}" + std::string((16 << 20) - 1, ' '), 0, bad,
       "offset 0: expected a header of at most 16777216 bytes, found 16777217"},
  };
}

struct LengthRow {
  const char *name;
  std::uint64_t length;
  const char *message;
};

// Lengths that the header of one tensor, 54 bytes with 4 of data behind it, does not have.
std::vector<LengthRow> lengths() {
  return {
      {"length 0", 0, "expected a JSON header that starts with a brace, found none"},
      {"length 1", 1, "expected a JSON header"},
      {"length 1 less", 53, "expected a JSON header"},
      {"length 1 more", 55, "expected a JSON header, found a byte of 0"},
      {"length of the file", 66, "offset 0: expected a header within the file, found 66 bytes"},
      {"length 1 more than the file", 59, "offset 0: expected a header within the file"},
      {"length 2^24", 1u << 24, "a header within the file"},
      {"length 2^24 + 1", (1u << 24) + 1, "a header of at most 16777216 bytes"},
      {"length 2^32", std::uint64_t{1} << 32, "a header of at most"},
      {"length 2^63", std::uint64_t{1} << 63, "a header of at most"},
      {"length 2^64 - 8", ~std::uint64_t{7}, "a header of at most"},
      {"length 2^64 - 1", ~std::uint64_t{0}, "a header of at most"},
  };
}

Bytes make(const std::string &header, std::size_t data) {
  Bytes file(8 + header.size() + data);
  put_at<std::uint64_t>(0, header.size())(file);
  text_at(8, header)(file);
  return file;
}

}  // namespace

std::vector<Variant> safetensors_variants() {
  std::vector<Variant> variants;
  for (const HeaderRow &row : headers()) {
    variants.push_back({row.name, make(row.header, row.data), row.status, row.message});
  }
  for (const LengthRow &row : lengths()) {
    Bytes file = make(shaped("[1]"), 4);
    put_at(0, row.length)(file);
    variants.push_back({row.name, std::move(file), CALM_CORRUPT_DATA, row.message});
  }
  for (const std::size_t n : {0u, 1u, 7u}) {
    Bytes file = make(shaped("[1]"), 4);
    file.resize(n);
    variants.push_back({std::to_string(n) + " bytes", std::move(file), CALM_CORRUPT_DATA,
                        "expected a header length of 8 bytes, found the end"});
  }
  return variants;
}

}  // namespace calm::formats_test
