#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calm::dictionary {

/// Files of one dictd database, found from any of their names.
struct DatabasePaths {
  std::string base;   // ".../gcide"
  std::string index;  // ".../gcide.index"
  std::string text;   // ".../gcide.dict.dz" or ".../gcide.dict"
};

/// `source` is the .index, .dict.dz or .dict file, or their common beginning. Throws IO when a
/// partner is missing.
DatabasePaths find_database(const std::string &source);

/// One record of a database: a range of its text and the headwords that lead to it.
struct Record {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::vector<std::string_view> headwords;  // in index order, at least one
};

/// A dictd database (dictd(8), "DATABASE FORMAT"): a text, plain or dictzip, and an index of lines
/// `headword TAB offset TAB length` with base-64 numbers. Views live as long as the object.
class Database {
 public:
  /// Reads and checks everything. Throws IO, or CORRUPT_DATA with file and line.
  explicit Database(const DatabasePaths &paths);
  /// The same from what was read already; `index_path` is used in messages.
  Database(std::string name, std::string text, std::string index, const std::string &index_path);
  Database(const Database &) = delete;
  Database &operator=(const Database &) = delete;

  /// "gcide"
  const std::string &name() const { return name_; }
  /// In the order of the text, each range once; the database's notes about itself are left out.
  const std::vector<Record> &records() const { return records_; }
  /// What it calls itself (its entry 00-database-short); empty when it does not.
  std::string_view about() const { return about_; }
  std::string_view text(const Record &record) const {
    return std::string_view(text_).substr(static_cast<std::size_t>(record.offset),
                                          static_cast<std::size_t>(record.length));
  }

 private:
  void read_index(const std::string &path);

  std::string name_;
  std::string text_;
  std::string index_;
  std::vector<Record> records_;
  std::string_view about_;  // in text_
};

}  // namespace calm::dictionary
