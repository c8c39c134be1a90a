#include "core/data/document.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/plugin/tables.hpp"

namespace calm::data {

namespace {

template <class T>
constexpr calm_dtype dtype_for();
template <>
constexpr calm_dtype dtype_for<float>() {
  return CALM_F32;
}
template <>
constexpr calm_dtype dtype_for<std::int32_t>() {
  return CALM_I32;
}
template <>
constexpr calm_dtype dtype_for<std::uint16_t>() {
  return CALM_U16;
}

constexpr std::uint64_t kProbeBytes = 64;

}  // namespace

template <class T>
std::vector<T> DocumentTensor::as() const {
  if (type.dtype != dtype_for<T>()) {
    throw Error(CALM_CORRUPT_DATA, "tensor " + name + ": expected " +
                                       std::string(dtype_name(dtype_for<T>())) + ", found " +
                                       std::string(dtype_name(type.dtype)));
  }
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) {
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  }
  return values;
}
template std::vector<float> DocumentTensor::as() const;
template std::vector<std::int32_t> DocumentTensor::as() const;
template std::vector<std::uint16_t> DocumentTensor::as() const;

const OwnedValue *Document::field(std::string_view name) const {
  const auto it = std::find_if(fields.begin(), fields.end(),
                               [&](const OwnedValue &f) { return f.name == name; });
  return it == fields.end() ? nullptr : &*it;
}

const DocumentTensor *Document::tensor(std::string_view name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const DocumentTensor &t) { return t.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

const DocumentTensor &Document::need(std::string_view name) const {
  const DocumentTensor *found = tensor(name);
  if (found == nullptr) {
    throw Error(CALM_CORRUPT_DATA, "expected a tensor " + std::string(name) + ", found none");
  }
  return *found;
}

template <class T>
void Document::add(std::string_view name, std::span<const T> values,
                   std::initializer_list<std::int64_t> shape) {
  DocumentTensor t{std::string(name), type_of(dtype_for<T>(), shape), {}};
  t.bytes.resize(values.size_bytes());
  if (!values.empty()) {
    std::memcpy(t.bytes.data(), values.data(), values.size_bytes());
  }
  tensors.push_back(std::move(t));
}
template void Document::add(std::string_view, std::span<const float>,
                            std::initializer_list<std::int64_t>);
template void Document::add(std::string_view, std::span<const std::int32_t>,
                            std::initializer_list<std::int64_t>);
template void Document::add(std::string_view, std::span<const std::uint16_t>,
                            std::initializer_list<std::int64_t>);

namespace {

// The formats by name, first the one that the file's name speaks of: when it is sure, no other
// plugin need be loaded.
std::vector<std::string> formats_to_ask(run::Runtime &runtime, const std::string &path) {
  std::vector<std::string> ids = runtime.plugins().ids("format");
  const std::string extension = std::filesystem::path(path).extension().string();
  std::stable_partition(ids.begin(), ids.end(),
                        [&](const std::string &id) { return "." + id == extension; });
  return ids;
}

// The one whose probe is surest.
std::string format_of(run::Runtime &runtime, const InputFile &file) {
  constexpr std::uint32_t kSure = 100;
  std::vector<unsigned char> head(std::min(file.size(), kProbeBytes));
  file.read_at(0, head.data(), head.size());
  std::string format;
  std::uint32_t best = 0;
  for (const std::string &id : formats_to_ask(runtime, file.path())) {
    try {
      const std::uint32_t sure =
          runtime.plugins().format(id).probe(head.data(), head.size(), file.size());
      if (sure > best) {
        best = sure;
        format = id;
      }
      if (sure == kSure && "." + id == std::filesystem::path(file.path()).extension()) {
        break;
      }
    } catch (const Error &e) {
      if (e.status() == CALM_OUT_OF_MEMORY) {
        throw;
      }
      // Another format's plugin is no reason not to read this file.
      log_warning("format \"{}\" cannot be used: {}", id, e.what());
    }
  }
  if (best == 0) {
    throw Error(CALM_CORRUPT_DATA, file.path() +
                                       ": offset 0: expected the magic bytes of a known "
                                       "format, found none");
  }
  return format;
}

}  // namespace

Document read_document(run::Runtime &runtime, const std::string &path, bool tensors) {
  const InputFile file(path);
  Document document;
  document.format = format_of(runtime, file);
  const calm_format &format = runtime.plugins().format(document.format);
  const calm_stream stream = file.stream();
  calm_reader *reader = nullptr;
  calm_error error{};
  check(format.open(&stream, runtime.host().table(), &reader, &error), error, path);
  const auto close = [&format](calm_reader *r) { format.close(r); };
  const std::unique_ptr<calm_reader, decltype(close)> closer(reader, close);
  const calm_document *given = format.document(reader);
  try {
    check_document(given);
  } catch (const Error &e) {
    throw Error(e.status(),
                fmt::format("{}: format \"{}\" of {}: {}", path, document.format,
                            runtime.plugins().path("format", document.format), e.what()));
  }
  const calm_document &source = *given;
  for (std::uint32_t i = 0; i < source.fields.count; ++i) {
    document.fields.push_back(own(record<calm_value>(source.fields, i)));
  }
  for (std::uint32_t i = 0; i < source.tensors.count; ++i) {
    const auto &t = record<calm_named_tensor>(source.tensors, i);
    DocumentTensor tensor{copy(t.name), t.type, {}};
    if (tensors) {
      tensor.bytes.resize(bytes_of(t.type));
      check(format.read(reader, i, tensor.bytes.data(), tensor.bytes.size(), &error), error, path);
    }
    document.tensors.push_back(std::move(tensor));
  }
  return document;
}

namespace {

// `where` prefixes errors: the path being written.
void encode(run::Runtime &runtime, std::string_view format_id, const Document &document,
            const calm_sink &sink, std::string_view where) {
  const calm_format &format = runtime.plugins().format(format_id);
  std::vector<calm_value> fields;
  for (const OwnedValue &f : document.fields) {
    fields.push_back(f.record());
  }
  std::vector<calm_named_tensor> tensors;
  for (const DocumentTensor &t : document.tensors) {
    tensors.push_back({str(t.name), t.type, t.bytes.data()});
  }
  calm_document record{};
  record.size = sizeof record;
  record.fields = table(fields);
  record.tensors = table(tensors);
  calm_error error{};
  check(format.write(&record, runtime.host().table(), &sink, &error), error, where);
}

}  // namespace

void encode_document(run::Runtime &runtime, std::string_view format, const Document &document,
                     const std::function<calm_status(const void *, std::uint64_t)> &take) {
  calm_sink sink{};
  sink.size = sizeof sink;
  sink.self = const_cast<void *>(static_cast<const void *>(&take));
  sink.write = [](void *self, const void *src, std::uint64_t bytes, calm_error *error) {
    return guard(error, [&] {
      const auto &sink_take =
          *static_cast<const std::function<calm_status(const void *, std::uint64_t)> *>(self);
      if (const calm_status status = sink_take(src, bytes); status != CALM_OK) {
        throw Error(status, std::string(status_text(status)));
      }
    });
  };
  encode(runtime, format, document, sink, {});
}

void write_document(run::Runtime &runtime, std::string_view format, const Document &document,
                    const std::string &path) {
  OutputFile file(path);
  encode(runtime, format, document, file.sink(), path);
  file.publish();
}

}  // namespace calm::data
