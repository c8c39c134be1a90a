#include "tests/domains/dictd_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <calm/cpp/error.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/plugin/registry.hpp"

namespace calm::test {
namespace {

void append_le(std::string &out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

std::uint32_t crc32(std::string_view data) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
    }
  }
  return ~crc;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "calm-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw Error(CALM_IO, pattern + ": cannot create");
  }
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(std::string_view name, std::string_view contents) const {
  std::string path = file(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::FILE *out = std::fopen(path.c_str(), "wb");
  if (out == nullptr || std::fwrite(contents.data(), 1, contents.size(), out) != contents.size() ||
      std::fclose(out) != 0) {
    throw Error(CALM_IO, path + ": cannot write");
  }
  return path;
}

std::string gzip(std::string_view contents) {
  constexpr std::size_t kBlock = 65535;
  std::string out("\x1f\x8b\x08\x04", 4);  // deflate, extra field
  append_le(out, 0, 4);                    // time
  append_le(out, 0x0302, 2);               // slow, Unix
  std::string extra("RA", 2);  // random access: version, chunk size, chunks, their sizes
  append_le(extra, 8, 2);
  append_le(extra, 1, 2);
  append_le(extra, 58315, 2);
  append_le(extra, 1, 2);
  append_le(extra, 0, 2);
  append_le(out, extra.size(), 2);
  out += extra;
  std::string_view rest = contents;
  do {
    const std::string_view block = rest.substr(0, kBlock);
    rest.remove_prefix(block.size());
    out += rest.empty() ? '\1' : '\0';
    append_le(out, block.size(), 2);
    append_le(out, ~block.size(), 2);
    out += block;
  } while (!rest.empty());
  append_le(out, crc32(contents), 4);
  append_le(out, contents.size(), 4);
  return out;
}

std::string base64(std::uint64_t number) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  do {
    out += kDigits[number % 64];
    number /= 64;
  } while (number > 0);
  std::reverse(out.begin(), out.end());
  return out;
}

void Database::add(const std::vector<std::string> &headwords, std::string_view record) {
  for (const std::string &headword : headwords) {
    index += headword + '\t' + base64(text.size()) + '\t' + base64(record.size()) + '\n';
  }
  text += record;
  text += '\n';
}

const calm_domain &domain_of(std::string_view id) {
  static PluginRegistry *const registry = [] {
    SearchOptions search;
    search.plugin_path = {CALM_TEST_PLUGINS};
    return new PluginRegistry(search);  // plugins are never unloaded
  }();
  return registry->domain(id);
}

const calm_domain &dictionary() { return domain_of("dictionary"); }

Imported import_sources(const std::vector<std::string> &sources,
                        const std::vector<calm_value> &options) {
  return import_with(dictionary(), sources, options);
}

Imported import_with(const calm_domain &domain, const std::vector<std::string> &sources,
                     const std::vector<calm_value> &options) {
  Imported out;
  std::vector<calm_str> paths;
  paths.reserve(sources.size());
  for (const std::string &source : sources) {
    paths.push_back(str(source));
  }
  calm_import request{};
  request.size = sizeof request;
  request.n_sources = static_cast<std::uint32_t>(paths.size());
  request.sources = paths.data();
  request.options = table(options);
  request.context = &out;
  request.record = [](void *context, calm_str record, calm_error *) {
    static_cast<Imported *>(context)->records.push_back(copy(record));
    return CALM_OK;
  };
  request.count = [](void *context, calm_str name, std::uint64_t count) {
    static_cast<Imported *>(context)->counts[copy(name)] = count;
  };
  calm_error error{};
  out.status = domain.import(&request, nullptr, &error);
  out.message = error.message;
  return out;
}

Imported import_database(const Database &database, std::string_view name,
                         const std::vector<calm_value> &options) {
  const TemporaryFolder folder;
  folder.write(std::string(name) + ".dict.dz", gzip(database.text));
  return import_sources({folder.write(std::string(name) + ".index", database.index)}, options);
}

Imported import_gcide(std::string_view record, const std::vector<calm_value> &options) {
  Database database;
  database.add({"word"}, record);
  return import_database(database, "gcide", options);
}

}  // namespace calm::test
