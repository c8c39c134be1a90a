#include "support.hpp"

#include <calm/plugin.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace calm::formats_test {
namespace {

// Never unloaded, like the host's.
const calm_format &load(const std::string &name) {
  const std::string path = std::string(CALM_TEST_PLUGINS) + '/' + name + ".so";
  void *library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(CALM_NOT_FOUND, ::dlerror());
  }
  const auto query = reinterpret_cast<calm_plugin_query_fn>(::dlsym(library, "calm_plugin_query"));
  calm_error error{};
  const calm_plugin *plugin = query(CALM_ABI_CURRENT, CALM_ABI_CURRENT, &error);
  if (plugin == nullptr || plugin->provides.count != 1) {
    throw Error(CALM_VERSION, error.message);
  }
  const auto &provided = record<calm_provided>(plugin->provides, 0);
  if (provided.kind != CALM_KIND_FORMAT || view(provided.id) != name) {
    throw Error(CALM_INTERNAL, "expected the format " + name + ", found " + copy(provided.id));
  }
  return *static_cast<const calm_format *>(provided.vtable);
}

calm_status read_bytes(void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                       calm_error *error) {
  const auto &file = *static_cast<const Bytes *>(self);
  if (offset > file.size() || bytes > file.size() - offset) {
    ADD_FAILURE() << "read of " << bytes << " bytes at " << offset << " of " << file.size();
    return fail(error, CALM_IO, "read past the end");
  }
  if (bytes != 0) {
    std::memcpy(dst, file.data() + offset, bytes);
  }
  return CALM_OK;
}

calm_status write_bytes(void *self, const void *src, std::uint64_t bytes, calm_error *) {
  auto &file = *static_cast<Bytes *>(self);
  const auto *first = static_cast<const std::byte *>(src);
  file.insert(file.end(), first, first + bytes);
  return CALM_OK;
}

void log_line(void *self, calm_log_level, calm_str text) {
  static_cast<std::vector<std::string> *>(self)->push_back(copy(text));
}

calm_host host_with(std::vector<std::string> &log) {
  calm_host host{};
  host.size = sizeof host;
  host.threads = 1;
  host.self = &log;
  host.log = log_line;
  return host;
}

Contents read_all(const calm_format &format, calm_reader *reader) {
  Contents contents;
  const calm_document &document = *format.document(reader);
  for (std::uint32_t i = 0; i < document.fields.count; ++i) {
    const auto &v = record<calm_value>(document.fields, i);
    contents.fields.push_back({copy(v.name), v.type, v.i64, v.f64, copy(v.str)});
  }
  for (std::uint32_t i = 0; i < document.tensors.count; ++i) {
    const auto &t = record<calm_named_tensor>(document.tensors, i);
    Tensor tensor{copy(t.name), t.type, Bytes(bytes_of(t.type))};
    call(format.read, reader, i, tensor.data.data(), tensor.data.size());
    contents.tensors.push_back(std::move(tensor));
  }
  return contents;
}

template <class Items>
auto find_named(Items &items, std::string_view name) {
  const auto it =
      std::find_if(items.begin(), items.end(), [&](const auto &x) { return x.name == name; });
  return it == items.end() ? nullptr : &*it;
}

Field &field_to_set(Contents &contents, const std::string &name) {
  if (Field *found = contents.field(name)) {
    *found = Field{};
    found->name = name;
    return *found;
  }
  contents.fields.emplace_back().name = name;
  return contents.fields.back();
}

}  // namespace

Bytes golden(const std::string &name) {
  const std::filesystem::path path =
      std::filesystem::path(CALM_TEST_DATA) / "parity" / "data" / name;
  Bytes bytes(std::filesystem::file_size(path));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(in.good()) << path;
  return bytes;
}

const calm_format &format(const std::string &name) {
  static std::map<std::string, const calm_format *> loaded;
  const calm_format *&slot = loaded[name];
  if (slot == nullptr) {
    slot = &load(name);
  }
  return *slot;
}

Field *Contents::field(std::string_view name) { return find_named(fields, name); }
Tensor *Contents::tensor(std::string_view name) { return find_named(tensors, name); }

void Contents::set(const std::string &name, std::int64_t v) {
  Field &f = field_to_set(*this, name);
  f.type = CALM_VALUE_I64;
  f.i64 = v;
}
void Contents::set(const std::string &name, double v) {
  Field &f = field_to_set(*this, name);
  f.type = CALM_VALUE_F64;
  f.f64 = v;
}
void Contents::set_flag(const std::string &name, bool v) {
  Field &f = field_to_set(*this, name);
  f.type = CALM_VALUE_BOOL;
  f.i64 = v ? 1 : 0;
}
void Contents::set(const std::string &name, const std::string &v) {
  Field &f = field_to_set(*this, name);
  f.type = CALM_VALUE_STR;
  f.str = v;
}
void Contents::remove_field(std::string_view name) {
  std::erase_if(fields, [&](const Field &f) { return f.name == name; });
}
void Contents::remove_tensor(std::string_view name) {
  std::erase_if(tensors, [&](const Tensor &t) { return t.name == name; });
}

Opened open(const calm_format &format, const Bytes &file) {
  Opened out;
  const calm_host host = host_with(out.warnings);
  calm_stream stream{};
  stream.size = sizeof stream;
  stream.self = const_cast<Bytes *>(&file);
  stream.bytes = file.size();
  stream.read_at = read_bytes;
  calm_reader *reader = nullptr;
  calm_error error{};
  take_largest_allocation();
  out.status = format.open(&stream, &host, &reader, &error);
  out.largest_allocation = take_largest_allocation();
  if (out.status != CALM_OK) {
    out.message = error.message;
    return out;
  }
  out.contents = read_all(format, reader);
  format.close(reader);
  return out;
}

Written write(const calm_format &format, const Contents &contents) {
  std::vector<calm_value> fields;
  for (const Field &f : contents.fields) {
    fields.push_back({str(f.name), f.type, 0, f.i64, f.f64, str(f.str)});
  }
  std::vector<calm_named_tensor> tensors;
  for (const Tensor &t : contents.tensors) {
    tensors.push_back({str(t.name), t.type, t.data.data()});
  }
  calm_document document{};
  document.size = sizeof document;
  document.fields = table(fields);
  document.tensors = table(tensors);

  Written out;
  std::vector<std::string> log;
  const calm_host host = host_with(log);
  calm_sink sink{};
  sink.size = sizeof sink;
  sink.self = &out.file;
  sink.write = write_bytes;
  calm_error error{};
  out.status = format.write(&document, &host, &sink, &error);
  out.message = error.message;
  if (out.status != CALM_OK) {
    EXPECT_TRUE(out.file.empty()) << "bytes were written before it was refused: " << out.message;
  }
  return out;
}

}  // namespace calm::formats_test
