#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "tests/core/search_fixture.hpp"

// Files that are no index, or were one. None may crash, hang or run anything; what cannot be an
// index ends with exit code 65.
namespace calm::search {
namespace {

using Bytes = std::string;

void put(Bytes &file, std::size_t at, std::initializer_list<int> bytes) {
  for (const int byte : bytes) {
    file.at(at++) = static_cast<char>(byte);
  }
}

struct FileCase {
  const char *name;
  std::function<void(Bytes &)> damage;
};

const std::vector<FileCase> &file_cases() {
  static const std::vector<FileCase> cases = {
      {"empty", [](Bytes &f) { f.clear(); }},
      {"one byte", [](Bytes &f) { f.resize(1); }},
      {"text", [](Bytes &f) { f = "this is a note\n"; }},
      {"half a header", [](Bytes &f) { f.resize(50); }},
      {"a header alone", [](Bytes &f) { f.resize(100); }},
      {"one page", [](Bytes &f) { f.resize(4096); }},
      {"half the pages", [](Bytes &f) { f.resize(f.size() / 8192 * 4096); }},
      {"one byte less", [](Bytes &f) { f.pop_back(); }},
      {"one page less", [](Bytes &f) { f.resize(f.size() - 4096); }},
      {"one byte more", [](Bytes &f) { f += 'x'; }},
      {"one page more", [](Bytes &f) { f += Bytes(4096, '\0'); }},
      {"another magic", [](Bytes &f) { put(f, 0, {'X'}); }},
      {"pages of 512 bytes",
       [](Bytes &f) {
         put(f, 16, {2, 0});
       }},
      {"pages of 64 KiB",
       [](Bytes &f) {
         put(f, 16, {0, 1});
       }},
      {"pages of 0 bytes",
       [](Bytes &f) {
         put(f, 16, {0, 0});
       }},
      {"write version WAL", [](Bytes &f) { put(f, 18, {2}); }},
      {"read version WAL", [](Bytes &f) { put(f, 19, {2}); }},
      {"read version 9", [](Bytes &f) { put(f, 19, {9}); }},
      {"reserved bytes", [](Bytes &f) { put(f, 20, {255}); }},
      {"payload fractions",
       [](Bytes &f) {
         put(f, 21, {1, 2, 3});
       }},
      {"page count too large",
       [](Bytes &f) {
         put(f, 28, {0x7f, 0xff, 0xff, 0xff});
       }},
      {"page count too small",
       [](Bytes &f) {
         put(f, 28, {0, 0, 0, 1});
       }},
      {"schema format 99",
       [](Bytes &f) {
         put(f, 44, {0, 0, 0, 99});
       }},
      {"UTF-16",
       [](Bytes &f) {
         put(f, 56, {0, 0, 0, 2});
       }},
      {"version 0",
       [](Bytes &f) {
         put(f, 60, {0, 0, 0, 0});
       }},
      {"version 2",
       [](Bytes &f) {
         put(f, 60, {0, 0, 0, 2});
       }},
      {"version 2^32-1",
       [](Bytes &f) {
         put(f, 60, {255, 255, 255, 255});
       }},
      {"application 0",
       [](Bytes &f) {
         put(f, 68, {0, 0, 0, 0});
       }},
      {"schema page zeroed", [](Bytes &f) { f.replace(100, 3996, 3996, '\0'); }},
      {"schema page ones", [](Bytes &f) { f.replace(100, 3996, 3996, '\xff'); }},
      {"all pages but the first zeroed",
       [](Bytes &f) { f.replace(4096, f.size() - 4096, f.size() - 4096, '\0'); }},
      {"all pages but the first ones",
       [](Bytes &f) { f.replace(4096, f.size() - 4096, f.size() - 4096, '\xff'); }},
  };
  return cases;
}

struct SqlCase {
  const char *name, *sql;
};

constexpr SqlCase kSqlCases[] = {
    {"a trigger", "CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM passages; END"},
    {"a view", "CREATE VIEW v AS SELECT 1"},
    {"a view in the place of a table",
     "DROP TABLE vectors; CREATE VIEW vectors AS SELECT 1 AS passage, zeroblob(16) AS value"},
    {"a table more", "CREATE TABLE more(x)"},
    {"an index more", "CREATE INDEX more ON passages(text)"},
    {"a table less", "DROP TABLE vectors"},
    {"no full-text index", "DROP TABLE words"},
    {"another virtual table", "DROP TABLE words; CREATE VIRTUAL TABLE words USING rtree(a, b, c)"},
    {"another full-text index", "DROP TABLE words; CREATE VIRTUAL TABLE words USING fts5(text)"},
    {"another column", "ALTER TABLE documents ADD COLUMN x TEXT"},
    {"another schema for a table",
     "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE vectors(passage "
     "INTEGER PRIMARY KEY, value BLOB AS (randomblob(9)))' WHERE name = 'vectors'"},
    {"nonsense in the schema",
     "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE (' WHERE name = "
     "'vectors'"},
    {"a page of another table",
     "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM "
     "sqlite_schema WHERE name = 'documents') WHERE name = 'vectors'"},
    {"a page beyond the end",
     "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 9999 WHERE name = "
     "'passages'"},
    {"a short vector", "UPDATE vectors SET value = zeroblob(15) WHERE passage = 2"},
    {"a long vector", "UPDATE vectors SET value = zeroblob(20) WHERE passage = 2"},
    {"an empty vector", "UPDATE vectors SET value = zeroblob(0) WHERE passage = 2"},
    {"a vector of NaN", "UPDATE vectors SET value = x'0000c07f000000000000000000000000'"},
    {"a vector of infinity", "UPDATE vectors SET value = x'0000807f000000000000000000000000'"},
    {"a vector of length 2", "UPDATE vectors SET value = x'00000040000000000000000000000000'"},
    {"a vector of no passage", "UPDATE vectors SET passage = 77 WHERE passage = 2"},
    {"a dimension of words", "UPDATE meta SET value = 'four' WHERE key = 'dimension'"},
    {"a dimension of 0", "UPDATE meta SET value = '0' WHERE key = 'dimension'"},
    {"a huge dimension", "UPDATE meta SET value = '9223372036854775807' WHERE key = 'dimension'"},
    {"another dimension", "UPDATE meta SET value = '5' WHERE key = 'dimension'"},
    {"no dimension", "DELETE FROM meta WHERE key = 'dimension'"},
    {"another metric", "UPDATE meta SET value = 'L2' WHERE key = 'metric'"},
    {"another pooling", "UPDATE meta SET value = 'max' WHERE key = 'pooling'"},
    {"a hash of other letters", "UPDATE meta SET value = 'xyz' WHERE key = 'model_sha256'"},
    {"a passage of no document", "UPDATE passages SET document = 99"},
    {"no passages", "DELETE FROM passages"},
    {"a full-text index of nonsense", "UPDATE words_data SET block = randomblob(100)"},
    {"a full-text index of 2^31 segments",
     "UPDATE words_data SET block = x'000000000101000087ffffff7f' WHERE id = 10"},
    {"a full-text index of too many segments, a gigabyte of them",
     "UPDATE words_data SET block = x'000000000101000097ebe100' WHERE id = 10"},
    {"a full-text index whose sizes are cut off",
     "UPDATE words_data SET block = x'000000008080' WHERE id = 10"},
    {"a full-text index without a structure", "DELETE FROM words_data WHERE id = 10"},
    {"a full-text index without sizes", "DELETE FROM words_docsize"},
};

class Damage : public testing::Test {
 protected:
  std::string copy_of(const Bytes &bytes) const { return folder_.write("damaged.idx", bytes); }

  // What is wrong is found when the file is opened or read, and nothing else happens.
  void expect_refused(const std::string &path) const {
    try {
      search_test::read_everything(path);
      ADD_FAILURE() << "it was read";
    } catch (const Error &e) {
      EXPECT_EQ(exit_code(e.status()), 65) << e.what();
      EXPECT_THAT(e.what(), testing::StartsWith(path));
    }
    // A writer must not do worse.
    try {
      Index index(path, Database::Access::kWrite);
      for (const StoredDocument &stored : index.documents()) {
        index.remove(stored.id);
      }
      index.commit();
    } catch (const Error &e) {
      EXPECT_EQ(exit_code(e.status()), 65) << e.what();
    }
  }

  search_test::SmallIndex small_;
  calm_test::TempFolder folder_;
};

using IndexDamage = Damage;

TEST_F(IndexDamage, BytesThatCannotBeAnIndexAreRefused) {
  const Bytes whole = calm_test::read_bytes(small_.path());
  for (const FileCase &c : file_cases()) {
    SCOPED_TRACE(c.name);
    Bytes file = whole;
    c.damage(file);
    expect_refused(copy_of(file));
  }
}

TEST_F(IndexDamage, DatabasesThatAreNoIndexAreRefused) {
  const Bytes whole = calm_test::read_bytes(small_.path());
  for (const SqlCase &c : kSqlCases) {
    SCOPED_TRACE(c.name);
    const std::string path = copy_of(whole);
    sqlite3 *database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    char *error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, c.sql, nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(database);
    expect_refused(path);
  }
}

TEST_F(IndexDamage, EveryTruncationIsRefused) {
  const Bytes whole = calm_test::read_bytes(small_.path());
  for (std::size_t size = 0; size < whole.size(); size += 509) {
    SCOPED_TRACE(size);
    expect_refused(copy_of(whole.substr(0, size)));
  }
}

// Most flips leave a database that can be read; what matters is that the others end well.
TEST_F(IndexDamage, AFlippedByteIsReadOrRefused) {
  const Bytes whole = calm_test::read_bytes(small_.path());
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += at < 4096 ? 7 : 31) {
    SCOPED_TRACE(at);
    Bytes file = whole;
    file[at] = static_cast<char>(file[at] ^ 0x41);
    const std::string path = copy_of(file);
    try {
      search_test::read_everything(path);
    } catch (const Error &e) {
      ++refused;
      EXPECT_EQ(exit_code(e.status()), 65) << e.what();
    }
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace calm::search
