#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

/// The one place that talks to SQLite. Failures throw Error with the file's path in front:
/// CALM_CORRUPT_DATA for what SQLite finds wrong in the file, CALM_BUSY when another process holds
/// it, CALM_IO when the system refuses, CALM_OUT_OF_MEMORY.
namespace calm::search {

/// An open database that trusts nothing in its file: no trigger, view or extension runs, the schema
/// is not writable by SQL, sizes are limited. Opening looks at none of its bytes. FIFOs, folders
/// and devices are refused.
class Database {
 public:
  enum class Access {
    kRead,    ///< never changes the file
    kWrite,   ///< of a file that is there
    kCreate,  ///< a new file nobody else knows yet: no journal, made durable by who publishes it
  };
  Database(const std::string &path, Access access);
  ~Database();
  Database(const Database &) = delete;
  Database &operator=(const Database &) = delete;

  const std::string &path() const { return path_; }
  sqlite3 *handle() const { return handle_; }
  /// Statements of ours without parameters.
  void execute(const char *sql);
  /// The file as it lies there, read through SQLite's own handle: closing another one would drop
  /// its locks. What is beyond the end reads as zero.
  std::uint64_t file_bytes() const;
  void read_file(std::uint64_t offset, std::span<unsigned char> out) const;
  /// How long a lock of another process is waited for.
  void wait_for_locks(int milliseconds);
  /// Throws what the result code `code` of a failed call means.
  [[noreturn]] void refuse(int code) const;

 private:
  void open(Access access);

  std::string path_;  // as messages call it
  sqlite3 *handle_ = nullptr;
};

/// A prepared statement. Text of users enters by bind() only, never the SQL.
class Statement {
 public:
  Statement(const Database &database, const char *sql);
  ~Statement();
  Statement(const Statement &) = delete;
  Statement &operator=(const Statement &) = delete;

  /// Parameters from 1. Text and blobs must live until the next step() or bind().
  Statement &bind(int parameter, std::int64_t value);
  Statement &bind(int parameter, std::string_view text);
  Statement &bind(int parameter, std::span<const std::byte> blob);
  Statement &bind(int parameter, std::optional<std::int64_t> value);

  /// Goes to the next row; false after the last.
  bool step();
  /// Runs a statement that gives no rows, and makes it ready for the next values.
  void run();
  void reset();

  /// Columns from 0 of the present row; views live until the next step(). CALM_CORRUPT_DATA when
  /// the value has another type, as a file made by others may hold anything.
  std::int64_t integer(int column) const;
  std::optional<std::int64_t> optional_integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::span<const std::byte> blob(int column) const;
  bool null(int column) const;

 private:
  void expect(int column, int type) const;

  const Database *database_;
  sqlite3_stmt *handle_ = nullptr;
};

/// One transaction; rolled back unless committed.
class Transaction {
 public:
  enum class Kind {
    kRead,       ///< all statements see one state of the file
    kWrite,      ///< excludes other writers from now on, readers only while it is committed
    kExclusive,  ///< excludes all others from now on
  };
  Transaction(Database &database, Kind kind);
  ~Transaction();
  Transaction(const Transaction &) = delete;
  Transaction &operator=(const Transaction &) = delete;

  void commit();

 private:
  Database *database_;
  bool open_ = true;
};

}  // namespace calm::search
