#include "core/search/sqlite.hpp"

#include <sqlite3.h>

#include <array>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/io_error.hpp"

namespace calm::search {
namespace {

// A passage is part of a source of at most 64 MiB.
constexpr int kLongestValue = 65 << 20;
constexpr int kLockMilliseconds = 2000;

struct Limit {
  int id, value;
};
constexpr Limit kLimits[] = {
    {SQLITE_LIMIT_LENGTH, kLongestValue},
    {SQLITE_LIMIT_SQL_LENGTH, 1 << 16},
    {SQLITE_LIMIT_COLUMN, 64},
    {SQLITE_LIMIT_EXPR_DEPTH, 64},
    {SQLITE_LIMIT_COMPOUND_SELECT, 8},
    {SQLITE_LIMIT_VDBE_OP, 100000},
    {SQLITE_LIMIT_FUNCTION_ARG, 16},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1024},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 64},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

struct Switch {
  int id, on;
};
constexpr Switch kSwitches[] = {
    {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    {SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_DQS_DDL, 0},
};

calm_status status_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return CALM_BUSY;
    case SQLITE_NOMEM:
      return CALM_OUT_OF_MEMORY;
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return CALM_IO;
    case SQLITE_MISUSE:
      return CALM_INTERNAL;
    default:
      // Our statements are constants that suit the schema that was checked: what is left comes from
      // the contents.
      return CALM_CORRUPT_DATA;
  }
}

const char *type_name(int type) {
  constexpr std::array<const char *, 6> kNames = {"nothing", "an integer", "a real",
                                                  "a text",  "a blob",     "null"};
  return kNames[static_cast<std::size_t>(type >= 1 && type <= 5 ? type : 0)];
}

}  // namespace

Database::Database(const std::string &path, Access access) : path_(path) {
  try {
    open(access);
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

void Database::open(Access access) {
  // Absolute: ":memory:" and the like are names of files here.
  const std::filesystem::path name = std::filesystem::absolute(path_);
  if (access != Access::kCreate) {
    std::error_code error;
    const std::filesystem::file_status file = std::filesystem::status(name, error);
    if (file.type() == std::filesystem::file_type::not_found) {
      error = std::make_error_code(std::errc::no_such_file_or_directory);
    }
    if (error) {
      io::refuse(path_, "cannot open", error.message());
    }
    if (file.type() != std::filesystem::file_type::regular) {
      io::refuse(path_, "cannot open", "expected a regular file");
    }
  }
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (access == Access::kRead    ? SQLITE_OPEN_READONLY
                     : access == Access::kWrite ? SQLITE_OPEN_READWRITE
                                                : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (const int code = sqlite3_open_v2(name.c_str(), &handle_, flags, nullptr); code != SQLITE_OK) {
    if (handle_ == nullptr) {
      throw Error(CALM_OUT_OF_MEMORY, path_ + ": out of memory");
    }
    refuse(code);
  }
  for (const Switch &s : kSwitches) {
    if (const int code = sqlite3_db_config(handle_, s.id, s.on, nullptr); code != SQLITE_OK) {
      refuse(code);
    }
  }
  for (const Limit &limit : kLimits) {
    sqlite3_limit(handle_, limit.id, limit.value);
  }
  wait_for_locks(kLockMilliseconds);
}

Database::~Database() { sqlite3_close_v2(handle_); }

void Database::execute(const char *sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) {
    refuse(code);
  }
}

std::uint64_t Database::file_bytes() const {
  sqlite3_file *file = nullptr;
  sqlite3_int64 bytes = 0;
  int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK) {
    code = file->pMethods->xFileSize(file, &bytes);
  }
  if (code != SQLITE_OK) {
    refuse(code);
  }
  return static_cast<std::uint64_t>(bytes);
}

void Database::read_file(std::uint64_t offset, std::span<unsigned char> out) const {
  sqlite3_file *file = nullptr;
  int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK) {
    code = file->pMethods->xRead(file, out.data(), static_cast<int>(out.size()),
                                 static_cast<sqlite3_int64>(offset));
  }
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) {
    refuse(code);
  }
}

void Database::wait_for_locks(int milliseconds) { sqlite3_busy_timeout(handle_, milliseconds); }

void Database::refuse(int code) const {
  if (code == SQLITE_READONLY_DBMOVED) {
    throw Error(CALM_BUSY, path_ + ": the index was replaced meanwhile: try again");
  }
  const calm_status status = status_of(code);
  if (status == CALM_BUSY) {
    throw Error(status, path_ + ": another process is changing the index: try again");
  }
  if (status == CALM_CORRUPT_DATA) {
    throw Error(status, fmt::format("{}: expected a calm index, found: {}", path_,
                                    sqlite3_errmsg(handle_)));
  }
  if (status == CALM_IO) {
    if (code == SQLITE_READONLY_ROLLBACK) {
      io::refuse(path_, "cannot open",
                 "a change was cut short and has to be undone, which needs write permission");
    }
    const int number = sqlite3_system_errno(handle_);
    io::refuse(path_, sqlite3_errstr(code), number != 0 ? io::reason(number) : "refused");
  }
  throw Error(status, fmt::format("{}: {}", path_, sqlite3_errmsg(handle_)));
}

Statement::Statement(const Database &database, const char *sql) : database_(&database) {
  const int code =
      sqlite3_prepare_v3(database.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle_, nullptr);
  if (code != SQLITE_OK) {
    database.refuse(code);
  }
}

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement &Statement::bind(int parameter, std::int64_t value) {
  if (const int code = sqlite3_bind_int64(handle_, parameter, value); code != SQLITE_OK) {
    database_->refuse(code);
  }
  return *this;
}

Statement &Statement::bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL.
  const char *data = text.empty() ? "" : text.data();
  const int code =
      sqlite3_bind_text64(handle_, parameter, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) {
    database_->refuse(code);
  }
  return *this;
}

Statement &Statement::bind(int parameter, std::span<const std::byte> blob) {
  const int code = sqlite3_bind_blob64(handle_, parameter, blob.data(), blob.size(), SQLITE_STATIC);
  if (code != SQLITE_OK) {
    database_->refuse(code);
  }
  return *this;
}

Statement &Statement::bind(int parameter, std::optional<std::int64_t> value) {
  if (value) {
    return bind(parameter, *value);
  }
  if (const int code = sqlite3_bind_null(handle_, parameter); code != SQLITE_OK) {
    database_->refuse(code);
  }
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    database_->refuse(code);
  }
  return code == SQLITE_ROW;
}

void Statement::run() {
  step();
  reset();
}

void Statement::reset() { sqlite3_reset(handle_); }

void Statement::expect(int column, int type) const {
  const int found = sqlite3_column_type(handle_, column);
  if (found != type) {
    throw Error(CALM_CORRUPT_DATA, fmt::format("{}: {}: expected {}, found {}", database_->path(),
                                               sqlite3_column_name(handle_, column),
                                               type_name(type), type_name(found)));
  }
}

std::int64_t Statement::integer(int column) const {
  expect(column, SQLITE_INTEGER);
  return sqlite3_column_int64(handle_, column);
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
  return null(column) ? std::nullopt : std::optional<std::int64_t>(integer(column));
}

double Statement::real(int column) const {
  expect(column, SQLITE_FLOAT);
  return sqlite3_column_double(handle_, column);
}

std::string_view Statement::text(int column) const {
  expect(column, SQLITE_TEXT);
  const auto *data = reinterpret_cast<const char *>(sqlite3_column_text(handle_, column));
  if (data == nullptr) {
    database_->refuse(SQLITE_NOMEM);
  }
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

std::span<const std::byte> Statement::blob(int column) const {
  expect(column, SQLITE_BLOB);
  const auto *data = static_cast<const std::byte *>(sqlite3_column_blob(handle_, column));
  const auto bytes = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
  if (data == nullptr && bytes > 0) {
    database_->refuse(SQLITE_NOMEM);
  }
  return {data, bytes};
}

bool Statement::null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

Transaction::Transaction(Database &database, Kind kind) : database_(&database) {
  database.execute(kind == Kind::kRead    ? "BEGIN"
                   : kind == Kind::kWrite ? "BEGIN IMMEDIATE"
                                          : "BEGIN EXCLUSIVE");
}

Transaction::~Transaction() {
  // After some failures SQLite has rolled back by itself.
  if (open_ && sqlite3_get_autocommit(database_->handle()) == 0) {
    sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::commit() {
  database_->execute("COMMIT");
  open_ = false;
}

}  // namespace calm::search
