#include "writer.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include <calm/cpp/byte_writer.hpp>

#include "dtype.hpp"
#include "header.hpp"

namespace calm::safetensors {
namespace {

[[noreturn]] void refuse(std::string_view name, const std::string &expected,
                         const std::string &found) {
  throw Error(CALM_INVALID_ARGUMENT, shown(name) + ": expected " + expected + ", found " + found);
}

std::string json_text(std::string_view name, std::string_view text) {
  try {
    return nlohmann::json(std::string(text)).dump();
  } catch (const nlohmann::json::exception &) {
    refuse(name, "UTF-8", "other bytes");
  }
}

std::string json_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    refuse(name, "a name of at most " + std::to_string(kMaxNameBytes) + " bytes",
           std::to_string(name.size()));
  }
  return json_text(name, name);
}

std::string metadata_json(const DocumentView &document) {
  std::string text;
  for (const calm_value &v : document.fields()) {
    if (v.type != CALM_VALUE_STR) {
      refuse(view(v.name), "a text, as all safetensors metadata", "another type");
    }
    text += (text.empty() ? "" : ",") + json_name(view(v.name)) + ':' +
            json_text(view(v.name), view(v.str));
  }
  return text.empty() ? text : json_text({}, kMetadataKey) + ":{" + text + '}';
}

std::string entry_json(const calm_named_tensor &t, std::uint64_t begin, std::uint64_t end) {
  if (view(t.name) == kMetadataKey) {
    refuse(kMetadataKey, "another name", "a tensor of this one");
  }
  if (is_empty_and_huge(t.type)) {
    refuse(
        view(t.name),
        "at most " + std::to_string(kMaxEmptyElements) + " elements, each axis of 0 counted as 1",
        describe(t.type));
  }
  std::string shape;
  for (std::uint32_t i = 0; i < t.type.rank; ++i) {
    shape += (i == 0 ? "" : ",") + std::to_string(t.type.shape[i]);
  }
  return json_name(view(t.name)) + ":{\"dtype\":\"" + std::string(dtype_code(t.type.dtype)) +
         "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + ',' +
         std::to_string(end) + "]}";
}

std::string header_json(const DocumentView &document) {
  if (document.tensors().size() > kMaxTensors) {
    throw Error(CALM_INVALID_ARGUMENT, "expected at most " + std::to_string(kMaxTensors) +
                                           " tensors, found " +
                                           std::to_string(document.tensors().size()));
  }
  std::string json = '{' + metadata_json(document);
  std::uint64_t begin = 0;
  for (const calm_named_tensor &t : document.tensors()) {
    const std::uint64_t end = begin + bytes_of(t.type);
    json += (json.size() == 1 ? "" : ",") + entry_json(t, begin, end);
    begin = end;
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxHeaderBytes) {
    throw Error(CALM_INVALID_ARGUMENT, "expected names and metadata that fit a header of " +
                                           std::to_string(kMaxHeaderBytes) + " bytes, found " +
                                           std::to_string(json.size()));
  }
  return json;
}

}  // namespace

void write(const DocumentView &document, const Output &output) {
  const std::string json = header_json(document);
  ByteWriter header;
  header.u64(json.size(), "header length");
  header.text(json);
  output.write(header.bytes());
  for (const calm_named_tensor &t : document.tensors()) {
    output.write(t.data, bytes_of(t.type));
  }
}

}  // namespace calm::safetensors
