#include "tests/fuzz/format.hpp"

#include <calm/plugin.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <calm/cpp/value.hpp>

#include "tests/fuzz/harness.hpp"

namespace calm::fuzz {
namespace {

struct Bytes {
  const std::uint8_t *data;
  std::size_t size;
};

const calm_format &format() {
  static const calm_format *const found = [] {
    calm_error error{};
    const calm_plugin *plugin = calm_plugin_query(CALM_ABI_CURRENT, CALM_ABI_CURRENT, &error);
    expect(plugin != nullptr && plugin->provides.count == 1, "no format", error.message);
    return static_cast<const calm_format *>(record<calm_provided>(plugin->provides, 0).vtable);
  }();
  return *found;
}

calm_status read_at(void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                    calm_error *) {
  const auto &file = *static_cast<const Bytes *>(self);
  expect(offset <= file.size && bytes <= file.size - offset, "a read past the end of the stream");
  std::memcpy(dst, file.data + offset, static_cast<std::size_t>(bytes));
  return CALM_OK;
}

calm_status append(void *self, const void *src, std::uint64_t bytes, calm_error *) {
  const auto *first = static_cast<const std::uint8_t *>(src);
  auto &file = *static_cast<std::vector<std::uint8_t> *>(self);
  file.insert(file.end(), first, first + bytes);
  return CALM_OK;
}

// One file opened, with the data of all its tensors.
class Opened {
 public:
  explicit Opened(const Bytes &file) : file_(file) {
    stream_.size = sizeof stream_;
    stream_.self = &file_;
    stream_.bytes = file.size;
    stream_.read_at = read_at;
    status_ = format().open(&stream_, nullptr, &reader_, &error_);
    if (status_ == CALM_OK) {
      read();
      return;
    }
    expect(status_ == CALM_CORRUPT_DATA || status_ == CALM_VERSION, "refused with another status",
           error_.message);
    expect_message(error_.message);
    expect(std::string_view(error_.message).starts_with("offset "), "a refusal without an offset",
           error_.message);
  }
  ~Opened() {
    if (status_ == CALM_OK) {
      format().close(reader_);
    }
  }
  Opened(const Opened &) = delete;
  Opened &operator=(const Opened &) = delete;

  bool ok() const { return status_ == CALM_OK; }
  const char *message() const { return error_.message; }
  // With data, as a writer takes it.
  const calm_document &document() const { return document_; }

  bool same_as(const Opened &other, std::string_view rewritten) const {
    const calm_table &fields = document_.fields;
    if (fields.count != other.document_.fields.count || tensors_.size() != other.tensors_.size()) {
      return false;
    }
    for (std::uint32_t i = 0; i < fields.count; ++i) {
      const auto &a = record<calm_value>(fields, i);
      const auto &b = record<calm_value>(other.document_.fields, i);
      const bool same_value =
          a.type == b.type && a.i64 == b.i64 && a.f64 == b.f64 && view(a.str) == view(b.str);
      if (view(a.name) != view(b.name) || (!same_value && view(a.name) != rewritten)) {
        return false;
      }
    }
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const calm_named_tensor &a = tensors_[i], &b = other.tensors_[i];
      if (view(a.name) != view(b.name) || a.type.dtype != b.type.dtype ||
          a.type.rank != b.type.rank ||
          std::memcmp(a.type.shape, b.type.shape, sizeof a.type.shape) != 0 ||
          data_[i] != other.data_[i]) {
        return false;
      }
    }
    return true;
  }

 private:
  void read() {
    const calm_document &seen = *format().document(reader_);
    document_ = seen;
    data_.resize(seen.tensors.count);
    for (std::uint32_t i = 0; i < seen.tensors.count; ++i) {
      tensors_.push_back(record<calm_named_tensor>(seen.tensors, i));
      calm_named_tensor &t = tensors_.back();
      const std::uint64_t bytes = bytes_of(t.type);
      expect(bytes <= file_.size, "a tensor larger than the file", view(t.name));
      data_[i].resize(static_cast<std::size_t>(bytes) + 1);  // never a null pointer
      const calm_status status = format().read(reader_, i, data_[i].data(), bytes, &error_);
      expect(status == CALM_OK, "a tensor of an accepted file cannot be read", error_.message);
      t.data = data_[i].data();
    }
    document_.tensors = table(tensors_);
  }

  Bytes file_;
  calm_stream stream_{};
  calm_error error_{};
  calm_reader *reader_ = nullptr;
  calm_status status_ = CALM_OK;
  std::vector<calm_named_tensor> tensors_;
  std::vector<std::vector<std::uint8_t>> data_;
  calm_document document_{};
};

// Empty when the writer refuses.
std::vector<std::uint8_t> write(const calm_document &document, bool may_refuse) {
  std::vector<std::uint8_t> file;
  calm_sink sink{};
  sink.size = sizeof sink;
  sink.self = &file;
  sink.write = append;
  calm_error error{};
  const calm_status status = format().write(&document, nullptr, &sink, &error);
  if (status != CALM_OK) {
    expect(may_refuse && status == CALM_INVALID_ARGUMENT, "what was read is not written",
           error.message);
    expect(file.empty(), "bytes were written before it was refused", error.message);
    expect_message(error.message);
  }
  return file;
}

// Writing costs several times what reading does, so one accepted input in eight is written: which
// ones, the bytes decide, so that an input always does the same.
bool is_written(const std::uint8_t *data, std::size_t size) {
  std::uint64_t hash = size;
  for (std::size_t at = 0; at + 8 <= size; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + at, sizeof word);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash % 8 == 0;
}

}  // namespace

void run_format(const std::uint8_t *data, std::size_t size, const FormatRules &rules) {
  format().probe(data, std::min<std::size_t>(size, 64), size);
  const Opened first({data, size});
  if (!first.ok() || !is_written(data, size)) {
    return;
  }
  const std::vector<std::uint8_t> written =
      write(first.document(), rules.may_refuse(first.document()));
  if (written.empty()) {
    return;
  }
  if (written.size() == size && std::memcmp(written.data(), data, size) == 0) {
    return;
  }
  const Opened second({written.data(), written.size()});
  expect(second.ok(), "what was written is not read", second.message());
  expect(second.same_as(first, rules.rewritten), "what was written is another document");
  expect(write(second.document(), false) == written, "the second writing differs from the first");
}

}  // namespace calm::fuzz
