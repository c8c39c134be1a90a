#include "writer.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include <calm/cpp/byte_writer.hpp>

#include "layout.hpp"

namespace calm::ctds {
namespace {

[[noreturn]] void refuse(std::string_view name, const std::string &expected,
                         const std::string &found) {
  throw Error(CALM_INVALID_ARGUMENT,
              std::string(name) + ": expected " + expected + ", found " + found);
}

using Numbers = std::span<const std::uint16_t>;

Numbers take(const DocumentView &document, std::string_view name) {
  const calm_named_tensor *t = document.tensor(name);
  if (t == nullptr) {
    refuse(name, "u16 values", "nothing");
  }
  if (t->type.dtype != CALM_U16 || t->type.rank != 1) {
    refuse(name, "u16 values on one axis", describe(t->type));
  }
  return {static_cast<const std::uint16_t *>(t->data), static_cast<std::size_t>(t->type.shape[0])};
}

void refuse_others(const DocumentView &document) {
  for (const calm_named_tensor &t : document.tensors()) {
    const std::string_view name = view(t.name);
    if (name != kLengths && name != kCmdPos && name != kTokens) {
      refuse(name, "only lengths, cmd_pos and tokens", "this tensor");
    }
  }
  for (const calm_value &v : document.fields()) {
    const std::string_view name = view(v.name);
    if (name != "vocab_version" && name != "count" && name != "max_len") {
      refuse(name, "only vocab_version, count and max_len", "this field");
    }
  }
}

std::uint64_t integer(const DocumentView &document, std::string_view name, std::uint64_t fallback) {
  const calm_value *v = document.field(name);
  if (v == nullptr) {
    return fallback;
  }
  if (v->type != CALM_VALUE_I64 || v->i64 < 0) {
    refuse(name, "an integer of at least 0",
           v->type == CALM_VALUE_I64 ? std::to_string(v->i64) : "another type");
  }
  return static_cast<std::uint64_t>(v->i64);
}

void check(Numbers lengths, Numbers positions, Numbers tokens) {
  if (lengths.empty() || lengths.size() > std::numeric_limits<std::uint32_t>::max()) {
    refuse(kLengths, "1 to 4294967295 sequences", std::to_string(lengths.size()));
  }
  if (positions.size() != lengths.size()) {
    refuse(kCmdPos, std::to_string(lengths.size()) + " values, one a sequence",
           std::to_string(positions.size()));
  }
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) {
      refuse(kLengths, "a length of at least 1 for sequence " + std::to_string(i), "0");
    }
    if (positions[i] >= lengths[i]) {
      refuse(kCmdPos,
             "a position below the length " + std::to_string(lengths[i]) + " of sequence " +
                 std::to_string(i),
             std::to_string(positions[i]));
    }
    total += lengths[i];
  }
  if (tokens.size() != total) {
    refuse(kTokens, std::to_string(total) + " values, the sum of the lengths",
           std::to_string(tokens.size()));
  }
  const auto bad = std::find_if(tokens.begin(), tokens.end(),
                                [](std::uint16_t token) { return token >= kVocabSize; });
  if (bad != tokens.end()) {
    refuse(kTokens, "a token below " + std::to_string(kVocabSize),
           std::to_string(*bad) + " at element " + std::to_string(bad - tokens.begin()));
  }
}

}  // namespace

void write(const DocumentView &document, const Output &output) {
  const Numbers lengths = take(document, kLengths), positions = take(document, kCmdPos),
                tokens = take(document, kTokens);
  refuse_others(document);
  check(lengths, positions, tokens);
  const std::uint64_t count = integer(document, "count", lengths.size());
  if (count != lengths.size()) {
    refuse("count", std::to_string(lengths.size()), std::to_string(count));
  }
  integer(document, "max_len", 0);

  ByteWriter header;
  header.text(kMagic);
  header.u32(integer(document, "vocab_version", 0), "vocab_version");
  header.u32(count, "count");
  header.u16(*std::max_element(lengths.begin(), lengths.end()), "max_len");
  output.write(header.bytes());
  for (const Numbers numbers : {lengths, positions, tokens}) {
    output.write(numbers.data(), numbers.size_bytes());
  }
}

}  // namespace calm::ctds
