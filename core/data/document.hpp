#pragma once

#include <calm/format.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

#include "core/run/runtime.hpp"

namespace calm::data {

/// A named tensor with its bytes, dense and little-endian.
struct DocumentTensor {
  std::string name;
  calm_type type{};
  std::vector<unsigned char> bytes;  ///< empty when only the structure was read

  /// The bytes as numbers of `T`; the dtype must match (CALM_CORRUPT_DATA names the tensor).
  template <class T>
  std::vector<T> as() const;
};

/// A file's contents as its format plugin gives them.
struct Document {
  std::string format;  ///< id of the format plugin
  std::vector<OwnedValue> fields;
  std::vector<DocumentTensor> tensors;

  const OwnedValue *field(std::string_view name) const;
  const DocumentTensor *tensor(std::string_view name) const;
  /// CALM_CORRUPT_DATA naming the tensor when it is missing.
  const DocumentTensor &need(std::string_view name) const;

  /// Adds a tensor of F32 or I32 or U16 values.
  template <class T>
  void add(std::string_view name, std::span<const T> values,
           std::initializer_list<std::int64_t> shape);
};

/// Reads a file through the format plugin whose probe is surest. Errors name the path:
/// CALM_CORRUPT_DATA when no format knows it or it breaks its format, CALM_IO. `tensors` false
/// reads the structure only.
Document read_document(run::Runtime &runtime, const std::string &path, bool tensors = true);

/// Encodes through a named format plugin, handing the bytes to `take` (a status other than CALM_OK
/// stops). CALM_INVALID_ARGUMENT when the format cannot hold the document.
void encode_document(run::Runtime &runtime, std::string_view format, const Document &document,
                     const std::function<calm_status(const void *, std::uint64_t)> &take);

/// Writes atomically through a named format plugin: temporary, fsync, rename.
void write_document(run::Runtime &runtime, std::string_view format, const Document &document,
                    const std::string &path);

}  // namespace calm::data
