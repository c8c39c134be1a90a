#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/byte_reader.hpp>
#include <calm/cpp/value.hpp>

#include "dtype.hpp"
#include "header.hpp"

namespace calm::safetensors {

// Receives the parser's events. The header has a fixed shape, so what may come next is one state,
// and nothing deeper than the shape is ever entered.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Handler(const char *first, const char *const *reached) : first_(first), reached_(reached) {}

  Header header;

  bool null() override { wrong("null"); }
  bool boolean(bool) override { wrong("a boolean"); }
  bool number_integer(number_integer_t v) override { wrong(std::to_string(v)); }
  bool number_float(number_float_t, const string_t &text) override { wrong(text); }
  bool binary(binary_t &) override { wrong("binary data"); }

  bool number_unsigned(number_unsigned_t v) override {
    if (state_ == State::kShape) {
      add_extent(v);
    } else if (state_ == State::kOffsets && offsets_.size() < 2) {
      offsets_.push_back(v);
    } else {
      wrong(std::to_string(v));
    }
    return true;
  }
  bool string(string_t &text) override {
    if (state_ == State::kMetadataValue) {
      header.metadata.emplace_back(key_, std::move(text));
      state_ = State::kMetadata;
    } else if (state_ == State::kDtype) {
      set_dtype(text);
      state_ = State::kTensor;
    } else {
      wrong("a text");
    }
    return true;
  }
  bool start_object(std::size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kRoot;
    } else if (state_ == State::kMetadataStart) {
      state_ = State::kMetadata;
    } else if (state_ == State::kTensorStart) {
      state_ = State::kTensor;
    } else {
      wrong("an object");
    }
    return true;
  }
  bool key(string_t &name) override {
    if (state_ == State::kRoot) {
      start_entry(name);
    } else if (state_ == State::kMetadata) {
      check_name(name);
      unique(metadata_names_, name);
      key_ = std::move(name);
      state_ = State::kMetadataValue;
    } else if (name == "dtype") {
      once(dtype_.has_value(), name);
      state_ = State::kDtype;
    } else if (name == "shape") {
      once(has_shape_, name);
      state_ = State::kShapeStart;
    } else if (name == "data_offsets") {
      once(has_offsets_, name);
      state_ = State::kOffsetsStart;
    } else {
      fail("dtype, shape or data_offsets", shown(name));
    }
    return true;
  }
  bool end_object() override {
    if (state_ == State::kTensor) {
      finish_entry();
      state_ = State::kRoot;
    } else if (state_ == State::kMetadata) {
      state_ = State::kRoot;
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (state_ == State::kShapeStart) {
      state_ = State::kShape;
    } else if (state_ == State::kOffsetsStart) {
      state_ = State::kOffsets;
    } else {
      wrong("an array");
    }
    return true;
  }
  bool end_array() override {
    if (state_ == State::kShape) {
      has_shape_ = true;
    } else {
      if (offsets_.size() != 2) {
        fail("two data_offsets", std::to_string(offsets_.size()));
      }
      has_offsets_ = true;
    }
    state_ = State::kTensor;
    return true;
  }
  bool parse_error(std::size_t, const std::string &, const nlohmann::json::exception &) override {
    fail("a JSON header", "text that is not JSON");
  }

 private:
  enum class State {
    kStart,
    kRoot,
    kMetadataStart,
    kMetadata,
    kMetadataValue,
    kTensorStart,
    kTensor,
    kDtype,
    kShapeStart,
    kShape,
    kOffsetsStart,
    kOffsets
  };

  [[noreturn]] void fail(const std::string &expected, const std::string &found) const {
    const auto at = static_cast<std::uint64_t>(*reached_ - first_);
    corrupt_at(kLengthBytes + at, expected, found);
  }
  [[noreturn]] void wrong(const std::string &found) const {
    static constexpr const char *kExpected[] = {"the header object",
                                                "a name",
                                                "an object of texts in __metadata__",
                                                "a name",
                                                "a text in __metadata__",
                                                "the object that describes a tensor",
                                                "a name",
                                                "a text as dtype",
                                                "an array as shape",
                                                "a size of at least 0 in shape",
                                                "an array as data_offsets",
                                                "two sizes of at least 0 in data_offsets"};
    fail(kExpected[static_cast<std::size_t>(state_)] + of_tensor(), found);
  }
  std::string of_tensor() const {
    return state_ >= State::kTensorStart ? " of " + shown(entry_.name) : std::string();
  }
  void check_name(const std::string &name) const {
    if (name.size() > kMaxNameBytes) {
      fail("names of at most " + std::to_string(kMaxNameBytes) + " bytes",
           std::to_string(name.size()));
    }
  }
  void unique(std::set<std::string> &names, const std::string &name) const {
    if (!names.insert(name).second) {
      fail("one " + shown(name), "two");
    }
  }
  void once(bool seen, const std::string &name) const {
    if (seen) {
      fail("one " + name + of_tensor(), "two");
    }
  }

  void start_entry(const std::string &name) {
    check_name(name);
    unique(names_, name);
    if (name == kMetadataKey) {
      state_ = State::kMetadataStart;
      return;
    }
    if (header.entries.size() == kMaxTensors) {
      fail("at most " + std::to_string(kMaxTensors) + " tensors", "more");
    }
    entry_ = Entry{};
    entry_.name = name;
    dtype_.reset();
    offsets_.clear();
    has_shape_ = has_offsets_ = false;
    state_ = State::kTensorStart;
  }
  void set_dtype(const std::string &text) {
    dtype_ = dtype_of(text);
    if (!dtype_) {
      fail("dtype F32, F64, BF16, F16, I8, U8, U16, I32, U32 or I64" + of_tensor(), shown(text));
    }
  }
  void add_extent(std::uint64_t extent) {
    if (entry_.type.rank == CALM_MAX_RANK) {
      fail("at most " + std::to_string(CALM_MAX_RANK) + " axes" + of_tensor(), "more");
    }
    if (extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail("a size below 2^63 in shape" + of_tensor(), std::to_string(extent));
    }
    entry_.type.shape[entry_.type.rank++] = static_cast<std::int64_t>(extent);
  }
  void finish_entry() {
    for (const auto &[seen, name] : {std::pair<bool, const char *>{dtype_.has_value(), "dtype"},
                                     {has_shape_, "shape"},
                                     {has_offsets_, "data_offsets"}}) {
      if (!seen) {
        fail(name + of_tensor(), "none");
      }
    }
    entry_.type.dtype = *dtype_;
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    const std::uint64_t bytes = checked_bytes();
    if (entry_.end < entry_.begin || entry_.end - entry_.begin != bytes) {
      fail(std::to_string(bytes) + " bytes between the data_offsets" + of_tensor(),
           std::to_string(entry_.begin) + " to " + std::to_string(entry_.end));
    }
    header.entries.push_back(std::move(entry_));
  }
  std::uint64_t checked_bytes() const {
    const auto bytes = bytes_without_zeros(entry_.type);
    if (!bytes) {
      fail("a tensor below 2^63 bytes", shown(entry_.name));
    }
    if (is_empty_and_huge(entry_.type)) {
      fail("at most " + std::to_string(kMaxEmptyElements) + " elements in " + shown(entry_.name) +
               ", each axis of 0 counted as 1",
           "more");
    }
    return bytes_of(entry_.type);
  }

  const char *first_;
  const char *const *reached_;
  State state_ = State::kStart;
  std::set<std::string> names_, metadata_names_;
  std::string key_;
  Entry entry_;
  std::optional<calm_dtype> dtype_;
  std::vector<std::uint64_t> offsets_;
  bool has_shape_ = false, has_offsets_ = false;
};

}  // namespace calm::safetensors
