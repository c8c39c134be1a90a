#pragma once

#include <calm/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm {

/// calm_stream with exceptions. Holds a reference to the C table.
class Input {
 public:
  explicit Input(const calm_stream &stream) : stream_(&stream) {}

  std::uint64_t bytes() const { return stream_->bytes; }
  void read(std::uint64_t offset, void *dst, std::uint64_t bytes) const {
    if (bytes != 0) {
      call(stream_->read_at, stream_->self, offset, dst, bytes);
    }
  }
  /// Reads `count` values of T from `offset` on, in bounded memory: body(index of first, values).
  template <class T, class Body>
  void each_piece(std::uint64_t offset, std::uint64_t count, Body &&body) const {
    static_assert(std::is_arithmetic_v<T>);
    constexpr std::uint64_t kPiece = (std::uint64_t{1} << 18) / sizeof(T);
    std::vector<T> piece(static_cast<std::size_t>(std::min(count, kPiece)));
    for (std::uint64_t first = 0; first < count;) {
      const std::uint64_t n = std::min<std::uint64_t>(piece.size(), count - first);
      read(offset + first * sizeof(T), piece.data(), n * sizeof(T));
      body(first, std::span<const T>(piece.data(), static_cast<std::size_t>(n)));
      first += n;
    }
  }

 private:
  const calm_stream *stream_;
};

/// calm_sink with exceptions. Holds a reference to the C table.
class Output {
 public:
  explicit Output(const calm_sink &sink) : sink_(&sink) {}
  void write(const void *src, std::uint64_t bytes) const {
    if (bytes != 0) {
      call(sink_->write, sink_->self, src, bytes);
    }
  }
  void write(std::span<const std::byte> bytes) const { write(bytes.data(), bytes.size()); }

 private:
  const calm_sink *sink_;
};

/// The document a reader shows; owns what its views point at. Stays where it was made.
class Document {
 public:
  Document() { view_.size = sizeof view_; }
  Document(const Document &) = delete;
  Document &operator=(const Document &) = delete;

  /// A field; text is copied.
  void field(std::string_view name, std::string_view text) {
    add_field(value(keep(name), keep(text)));
  }
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void field(std::string_view name, Number number) { add_field(value(keep(name), number)); }

  /// A tensor; the reader gives its data.
  void tensor(std::string_view name, const calm_type &type) {
    tensors_.push_back({str(keep(name)), type, nullptr});
    view_.tensors = table(tensors_);
  }
  const calm_document &view() const { return view_; }
  /// The type of tensor `index`; INVALID_ARGUMENT when there is none or `bytes` is not its size.
  const calm_type &expect(std::uint32_t index, std::uint64_t bytes) const {
    if (index >= tensors_.size()) {
      throw Error(CALM_INVALID_ARGUMENT, "expected a tensor below " +
                                             std::to_string(tensors_.size()) + ", found " +
                                             std::to_string(index));
    }
    const calm_type &type = tensors_[index].type;
    if (bytes != bytes_of(type)) {
      throw Error(CALM_INVALID_ARGUMENT, copy(tensors_[index].name) + ": expected room for " +
                                             std::to_string(bytes_of(type)) + " bytes, found " +
                                             std::to_string(bytes));
    }
    return type;
  }

 private:
  void add_field(const calm_value &v) {
    fields_.push_back(v);
    view_.fields = table(fields_);
  }
  std::string_view keep(std::string_view text) { return texts_.emplace_back(text); }

  std::deque<std::string> texts_;
  std::vector<calm_value> fields_;
  std::vector<calm_named_tensor> tensors_;
  calm_document view_{};
};

/// A document given to a writer. Records are copied by stride, so a peer's shorter ones read as
/// zeros at the end. Two fields or two tensors of one name, or a tensor nothing can hold:
/// INVALID_ARGUMENT.
class DocumentView {
 public:
  explicit DocumentView(const calm_document &document) {
    load(document.fields, fields_, field_index_, "field");
    load(document.tensors, tensors_, tensor_index_, "tensor");
    for (const calm_named_tensor &t : tensors_) {
      check_type(t);
    }
  }
  DocumentView(const DocumentView &) = delete;
  DocumentView &operator=(const DocumentView &) = delete;

  const std::vector<calm_value> &fields() const { return fields_; }
  const std::vector<calm_named_tensor> &tensors() const { return tensors_; }
  /// Null when absent.
  const calm_value *field(std::string_view name) const {
    const auto found = field_index_.find(name);
    return found == field_index_.end() ? nullptr : &fields_[found->second];
  }
  const calm_named_tensor *tensor(std::string_view name) const {
    const auto found = tensor_index_.find(name);
    return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
  }

 private:
  using Index = std::map<std::string_view, std::size_t>;

  template <class Record>
  static void load(const calm_table &source, std::vector<Record> &records, Index &index,
                   const char *kind) {
    const std::size_t size = std::min<std::size_t>(source.stride, sizeof(Record));
    for (std::uint32_t i = 0; i < source.count; ++i) {
      Record r{};
      std::memcpy(&r, static_cast<const char *>(source.base) + std::size_t{i} * source.stride,
                  size);
      if (!index.emplace(calm::view(r.name), records.size()).second) {
        throw Error(CALM_INVALID_ARGUMENT,
                    copy(r.name) + ": expected one " + kind + " of this name, found two");
      }
      records.push_back(r);
    }
  }
  static void check_type(const calm_named_tensor &t) {
    std::uint64_t bytes = dtype_bytes(t.type.dtype);
    bool valid = bytes != 0 && t.type.rank <= CALM_MAX_RANK;
    for (std::uint32_t i = 0; valid && i < t.type.rank; ++i) {
      const std::int64_t extent = t.type.shape[i];
      valid =
          extent >= 0 && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes);
    }
    if (!valid || (bytes != 0 && t.data == nullptr)) {
      throw Error(CALM_INVALID_ARGUMENT, copy(t.name) +
                                             ": expected a known dtype, a shape and data, found " +
                                             (valid ? "no data"
                                                    : "dtype " + std::to_string(t.type.dtype) +
                                                          ", rank " + std::to_string(t.type.rank)));
    }
  }

  std::vector<calm_value> fields_;
  std::vector<calm_named_tensor> tensors_;
  Index field_index_, tensor_index_;
};

/// Makes the C table of a format from a type with
///   static kHolds, kExtension, kDoc
///   static std::uint32_t probe(std::span<const std::byte> head, std::uint64_t file_bytes) noexcept
///   Format(const Input &, const calm_host *host)         open
///   const calm_document &document() const
///   void read(std::uint32_t index, void *dst, std::uint64_t bytes)
///   static void write(const DocumentView &, const calm_host *host, const Output &)
template <class Format>
constexpr calm_format make_format() {
  calm_format format{};
  format.size = sizeof format;
  format.holds = Format::kHolds;
  format.extension = literal(Format::kExtension);
  format.doc = literal(Format::kDoc);
  format.probe = [](const void *head, std::uint64_t bytes, std::uint64_t file_bytes) {
    return Format::probe(
        std::span(static_cast<const std::byte *>(head), static_cast<std::size_t>(bytes)),
        file_bytes);
  };
  format.open = [](const calm_stream *stream, const calm_host *host, calm_reader **out,
                   calm_error *error) {
    return guard(error, [&] {
      auto reader = std::make_unique<Format>(Input(*stream), host);
      *out = reinterpret_cast<calm_reader *>(reader.release());
    });
  };
  format.document = [](const calm_reader *reader) {
    return &reinterpret_cast<const Format *>(reader)->document();
  };
  format.read = [](calm_reader *reader, std::uint32_t index, void *dst, std::uint64_t bytes,
                   calm_error *error) {
    return guard(error, [&] { reinterpret_cast<Format *>(reader)->read(index, dst, bytes); });
  };
  format.close = [](calm_reader *reader) { delete reinterpret_cast<Format *>(reader); };
  format.write = [](const calm_document *document, const calm_host *host, const calm_sink *sink,
                    calm_error *error) {
    return guard(error, [&] { Format::write(DocumentView(*document), host, Output(*sink)); });
  };
  return format;
}

}  // namespace calm
