#include "core/search/schema.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"

namespace calm::search {
namespace {

constexpr std::uint32_t kPageBytes = 4096;

struct Object {
  std::string_view type, name;
  const char *sql;  // null for what SQLite makes by itself; as sqlite_schema shows it
};

constexpr Object kTables[] = {
    {"table", "meta",
     "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
    {"table", "documents",
     "CREATE TABLE documents(id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, "
     "title TEXT NOT NULL, kind TEXT NOT NULL, mtime INTEGER NOT NULL, size INTEGER NOT NULL, "
     "sha256 TEXT NOT NULL) STRICT"},
    {"table", "passages",
     "CREATE TABLE passages(id INTEGER PRIMARY KEY, document INTEGER NOT NULL, "
     "section TEXT NOT NULL, heading TEXT NOT NULL, begin_byte INTEGER, end_byte INTEGER, "
     "text TEXT NOT NULL) STRICT"},
    {"index", "passages_of_document", "CREATE INDEX passages_of_document ON passages(document)"},
    {"table", "vectors",
     "CREATE TABLE vectors(passage INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT"},
    {"table", "words",
     "CREATE VIRTUAL TABLE words USING fts5(heading, text, content='passages', "
     "content_rowid='id', tokenize='porter unicode61 remove_diacritics 2')"},
};

// What SQLite adds to these.
constexpr Object kImplied[] = {
    {"index", "sqlite_autoindex_documents_1", nullptr},
    {"table", "words_data", "CREATE TABLE 'words_data'(id INTEGER PRIMARY KEY, block BLOB)"},
    {"table", "words_idx",
     "CREATE TABLE 'words_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID"},
    {"table", "words_docsize", "CREATE TABLE 'words_docsize'(id INTEGER PRIMARY KEY, sz BLOB)"},
    {"table", "words_config", "CREATE TABLE 'words_config'(k PRIMARY KEY, v) WITHOUT ROWID"},
};

bool same(const Object &object, std::string_view type, std::string_view name,
          const Statement &row) {
  return object.type == type && object.name == name &&
         (object.sql == nullptr ? row.null(2) : !row.null(2) && row.text(2) == object.sql);
}

bool expected(std::string_view type, std::string_view name, const Statement &row) {
  const auto is = [&](const Object &object) { return same(object, type, name, row); };
  return std::any_of(std::begin(kTables), std::end(kTables), is) ||
         std::any_of(std::begin(kImplied), std::end(kImplied), is);
}

std::uint32_t big_endian(const unsigned char *at) {
  return (std::uint32_t{at[0]} << 24) | (std::uint32_t{at[1]} << 16) | (std::uint32_t{at[2]} << 8) |
         at[3];
}

[[noreturn]] void refuse(const std::string &path, const std::string &what) {
  throw Error(CALM_CORRUPT_DATA, path + ": " + what);
}

/// SQLite's integers of 1 to 9 bytes (file format, section 1.6), one after another.
class Varints {
 public:
  Varints(std::span<const std::byte> bytes, std::size_t at)
      : left_(bytes.subspan(std::min(at, bytes.size()))) {}

  std::size_t bytes() const { return left_.size(); }
  /// Nothing where they end.
  std::optional<std::uint64_t> next() {
    constexpr std::size_t kLongest = 9;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < std::min(kLongest, left_.size()); ++i) {
      const auto byte = std::to_integer<std::uint64_t>(left_[i]);
      const bool last = i == kLongest - 1;
      value = last ? value << 8U | byte : value << 7U | (byte & 0x7fU);
      if (last || byte < 0x80) {
        left_ = left_.subspan(i + 1);
        return value;
      }
    }
    return std::nullopt;
  }

 private:
  std::span<const std::byte> left_;
};

}  // namespace

void create_schema(Database &database) {
  database.execute(fmt::format("PRAGMA page_size = {}; PRAGMA application_id = {};"
                               "PRAGMA user_version = {};",
                               kPageBytes, kApplicationId, kFormatVersion)
                       .c_str());
  for (const Object &object : kTables) {
    database.execute(object.sql);
  }
}

bool check_journal(const std::string &path) {
  const std::string journal = path + "-journal";
  std::error_code error;
  if (!std::filesystem::exists(journal, error)) {
    return false;
  }
  constexpr std::array<unsigned char, 8> kMagic = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
  std::array<unsigned char, 8> tail{};
  const InputFile file(journal);
  if (file.size() > tail.size()) {
    file.read_at(file.size() - tail.size(), tail.data(), tail.size());
  }
  // A journal that is one header and no more begins with the same bytes, but is longer than they.
  if (tail == kMagic) {
    refuse(journal, "expected the journal of one file, found one of several");
  }
  return true;
}

void check_header(const Database &database) {
  const std::string &path = database.path();
  std::array<unsigned char, 100> header{};
  constexpr std::string_view kMagic{"SQLite format 3\0", 16};
  database.read_file(0, header);
  if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0) {
    refuse(path, "offset 0: expected a calm index, found another kind of file");
  }
  if (const std::uint32_t id = big_endian(&header[68]); id != kApplicationId) {
    refuse(path, fmt::format("offset 68: expected a calm index, found a database of application "
                             "{:#010x}",
                             id));
  }
  const std::uint32_t version = big_endian(&header[60]);
  if (version > kFormatVersion) {
    throw Error(CALM_VERSION,
                fmt::format("{}: offset 60: expected index version {}, found {}: made by a newer "
                            "version",
                            path, kFormatVersion, version));
  }
  if (version != kFormatVersion) {
    refuse(path,
           fmt::format("offset 60: expected index version {}, found {}", kFormatVersion, version));
  }
  // Version 2 asks for files beside the index that a reader would have to make.
  if (header[18] != 1 || header[19] != 1) {
    refuse(path, fmt::format("offset 18: expected journal version 1, found {} and {}", header[18],
                             header[19]));
  }
  const std::uint32_t page = (std::uint32_t{header[16]} << 8) | header[17];
  if (page != kPageBytes) {
    refuse(path, fmt::format("offset 16: expected pages of {} bytes, found {}", kPageBytes, page));
  }
}

void check_size(const Database &database) {
  Statement count(database, "PRAGMA page_count");
  const std::uint64_t pages = count.step() ? static_cast<std::uint64_t>(count.integer(0)) : 0;
  const std::uint64_t bytes = database.file_bytes();
  if (pages > bytes / kPageBytes || bytes != pages * kPageBytes) {
    refuse(database.path(),
           fmt::format("expected {} pages of {} bytes, found {} bytes", pages, kPageBytes, bytes));
  }
}

void check_schema(const Database &database) {
  Statement rows(database, "SELECT type, name, sql FROM sqlite_schema");
  std::size_t found = 0;
  for (; rows.step(); ++found) {
    const std::string_view type = rows.text(0);
    const std::string_view name = rows.text(1);
    if (!expected(type, name, rows)) {
      refuse(database.path(),
             fmt::format("expected the tables of a calm index, found {} {}", type, name));
    }
  }
  // Names are unique in a schema, so as many of them are all of them.
  const std::size_t all = std::size(kTables) + std::size(kImplied);
  if (found != all) {
    refuse(database.path(), fmt::format("expected {} tables and indices, found {}", all, found));
  }
}

void check_words(const Database &database) {
  Statement record(database, "SELECT block FROM words_data WHERE id = 10");
  if (!record.step()) {
    refuse(database.path(), "expected the structure of a full-text index, found none");
  }
  // 4 bytes of a counter, then as varints the numbers of levels and of all segments, a counter, and
  // for each level two numbers, the second of which is how many segments follow, of three each.
  constexpr std::uint64_t kSegmentBytes = 3;
  Varints left(record.blob(0), 4);
  const std::optional<std::uint64_t> levels = left.next();
  bool good = levels && left.next() && left.next();
  for (std::uint64_t level = 0; good && level < *levels; ++level) {
    left.next();
    const std::optional<std::uint64_t> segments = left.next();
    good = segments && *segments <= left.bytes() / kSegmentBytes;
    for (std::uint64_t i = 0; good && i < kSegmentBytes * *segments; ++i) {
      good = left.next().has_value();
    }
  }
  if (!good) {
    refuse(database.path(),
           "expected the structure of a full-text index, found one that names "
           "more segments than it has");
  }
}

void check_pages(const Database &database) {
  Statement check(database, "PRAGMA quick_check(1)");
  if (check.step() && check.text(0) != "ok") {
    refuse(database.path(), fmt::format("expected pages that agree, found: {}", check.text(0)));
  }
}

}  // namespace calm::search
