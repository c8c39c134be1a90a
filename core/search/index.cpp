#include "core/search/index.hpp"

#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <calm/version.h>
#include <calm/cpp/error.hpp>

#include "core/search/schema.hpp"

namespace calm::search {
namespace {

// A vector's squared length may be off by its rounding, not by more.
constexpr double kLengthSlack = 1e-3;
constexpr std::int64_t kWidestVector = 1 << 16;
constexpr std::string_view kMetric = "cosine";
constexpr int kCommitMilliseconds = 30000;

// A reader cannot undo a change that was cut short; who may write can.
const std::string &recovered(const std::string &path, Database::Access access) {
  if (access != Database::Access::kCreate && check_journal(path) &&
      access == Database::Access::kRead) {
    try {
      const Database database(path, Database::Access::kWrite);
      check_header(database);
      Statement read(database, "SELECT count(*) FROM sqlite_schema");
      read.step();
    } catch (const Error &e) {
      // Without permission to write: the reader finds out whether that matters.
      if (e.status() != CALM_IO) {
        throw;
      }
    }
  }
  return path;
}

std::span<const std::byte> row_bytes(std::span<const float> rows, std::size_t row,
                                     std::size_t dimension) {
  return std::as_bytes(rows.subspan(row * dimension, dimension));
}

}  // namespace

Index::Index(const std::string &path, Database::Access access)
    : database_(recovered(path, access), access) {
  if (access == Database::Access::kCreate) {
    // Published as a whole and made durable by then: until then nobody needs its journal.
    database_.execute(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;");
    create_schema(database_);
    transaction_.emplace(database_, Transaction::Kind::kWrite);
    Statement insert(database_, "INSERT INTO meta(key, value) VALUES('made_by', ?1)");
    insert.bind(1, std::string_view("calm " CALM_VERSION_STRING)).run();
    return;
  }
  check_header(database_);
  // EXTRA: the removal of the journal, which is what commits, is durable too. No spilling: pages
  // written early would shut readers out.
  database_.execute(
      "PRAGMA synchronous = EXTRA; PRAGMA cache_spill = OFF; PRAGMA mmap_size = 0;"
      "PRAGMA cell_size_check = ON;");
  const bool write = access == Database::Access::kWrite;
  transaction_.emplace(database_, write ? Transaction::Kind::kWrite : Transaction::Kind::kRead);
  check_schema(database_);
  check_size(database_);
  check_words(database_);
  if (write) {
    check_pages(database_);
  }
  read_model();
}

void Index::commit() {
  // After minutes of work a reader is worth waiting for.
  database_.wait_for_locks(kCommitMilliseconds);
  transaction_.value().commit();
  transaction_.reset();
}

void Index::read_model() {
  const auto value = [this](std::string_view key) -> std::optional<std::string> {
    Statement select(database_, "SELECT value FROM meta WHERE key = ?1");
    select.bind(1, key);
    return select.step() ? std::optional<std::string>(select.text(0)) : std::nullopt;
  };
  const std::optional<std::string> sha256 = value("model_sha256");
  if (!sha256) {
    return;
  }
  ModelInfo model;
  model.sha256 = *sha256;
  model.path = value("model_path").value_or("");
  model.pooling = value("pooling").value_or("");
  const std::string dimension = value("dimension").value_or("");
  const bool digits = !dimension.empty() && dimension.size() < 8 &&
                      dimension.find_first_not_of("0123456789") == std::string::npos;
  model.dimension = digits ? std::stoll(dimension) : 0;
  const auto expect = [this](bool good, std::string_view key, std::string_view expected,
                             std::string_view found) {
    if (!good) {
      throw Error(CALM_CORRUPT_DATA, fmt::format("{}: meta.{}: expected {}, found \"{}\"", path(),
                                                 key, expected, found));
    }
  };
  expect(model.sha256.size() == 64 &&
             model.sha256.find_first_not_of("0123456789abcdef") == std::string::npos,
         "model_sha256", "64 hexadecimal digits", model.sha256);
  expect(model.dimension >= 1 && model.dimension <= kWidestVector, "dimension",
         fmt::format("1 to {}", kWidestVector), dimension);
  expect(model.pooling == "mean" || model.pooling == "last", "pooling", "mean or last",
         model.pooling);
  const std::string metric = value("metric").value_or("");
  expect(metric == kMetric, "metric", kMetric, metric);
  model_ = std::move(model);
}

void Index::set_model(const std::optional<ModelInfo> &model) {
  Statement(database_, "DELETE FROM meta WHERE key <> 'made_by'").run();
  if (model) {
    Statement insert(database_, "INSERT INTO meta(key, value) VALUES(?1, ?2)");
    const std::string dimension = std::to_string(model->dimension);
    const std::pair<std::string_view, std::string_view> rows[] = {{"model_sha256", model->sha256},
                                                                  {"model_path", model->path},
                                                                  {"dimension", dimension},
                                                                  {"pooling", model->pooling},
                                                                  {"metric", kMetric}};
    for (const auto &[key, value] : rows) {
      insert.bind(1, key).bind(2, value).run();
    }
  }
  model_ = model;
}

Totals Index::totals() const {
  const auto count = [this](const char *sql) {
    Statement select(database_, sql);
    select.step();
    return select.integer(0);
  };
  return {count("SELECT count(*) FROM documents"), count("SELECT count(*) FROM passages"),
          count("SELECT count(*) FROM vectors")};
}

std::vector<StoredDocument> Index::documents() const {
  Statement select(database_,
                   "SELECT id, source, title, kind, mtime, size, sha256, (SELECT count(*) FROM "
                   "passages WHERE document = documents.id) FROM documents ORDER BY source");
  std::vector<StoredDocument> all;
  while (select.step()) {
    StoredDocument stored;
    stored.id = select.integer(0);
    stored.document = {std::string(select.text(1)), std::string(select.text(2)),
                       std::string(select.text(3)), select.integer(4),
                       select.integer(5),           std::string(select.text(6))};
    stored.passages = select.integer(7);
    all.push_back(std::move(stored));
  }
  return all;
}

std::optional<Index::Known> Index::find(std::string_view source) const {
  Statement select(database_, "SELECT id, sha256 FROM documents WHERE source = ?1");
  select.bind(1, source);
  if (!select.step()) {
    return std::nullopt;
  }
  return Known{select.integer(0), std::string(select.text(1))};
}

StoredPassage Index::passage(std::int64_t id) const {
  Statement select(database_,
                   "SELECT d.source, d.title, p.section, p.text, p.begin_byte, p.end_byte FROM "
                   "passages p JOIN documents d ON d.id = p.document WHERE p.id = ?1");
  select.bind(1, id);
  if (!select.step()) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected a passage {} of a document, found none", path(), id));
  }
  StoredPassage passage;
  passage.id = id;
  passage.source = select.text(0);
  passage.title = select.text(1);
  passage.section = select.text(2);
  passage.text = select.text(3);
  passage.begin = select.optional_integer(4);
  passage.end = select.optional_integer(5);
  return passage;
}

void Index::each_text(const std::function<void(std::int64_t, std::string_view)> &visit) const {
  Statement select(database_, "SELECT id, text FROM passages ORDER BY id");
  while (select.step()) {
    visit(select.integer(0), select.text(1));
  }
}

void Index::add(const Document &document, std::span<const Passage> passages,
                std::span<const float> vectors) {
  Statement insert(database_,
                   "INSERT INTO documents(source, title, kind, mtime, size, sha256) "
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6) RETURNING id");
  insert.bind(1, document.source).bind(2, document.title).bind(3, document.kind);
  insert.bind(4, document.mtime).bind(5, document.size).bind(6, document.sha256);
  insert.step();
  const std::int64_t id = insert.integer(0);
  insert.step();
  Statement passage(database_,
                    "INSERT INTO passages(document, section, heading, begin_byte, end_byte, text) "
                    "VALUES(?1, ?2, ?3, ?4, ?5, ?6) RETURNING id");
  Statement words(database_, "INSERT INTO words(rowid, heading, text) VALUES(?1, ?2, ?3)");
  std::vector<std::int64_t> ids;
  for (const Passage &p : passages) {
    std::optional<std::int64_t> begin, end;
    if (p.span) {
      begin = static_cast<std::int64_t>(p.span->begin);
      end = static_cast<std::int64_t>(p.span->end);
    }
    passage.bind(1, id).bind(2, p.section).bind(3, p.heading).bind(4, begin).bind(5, end);
    passage.bind(6, p.text);
    passage.step();
    ids.push_back(passage.integer(0));
    passage.reset();
    words.bind(1, ids.back()).bind(2, p.heading).bind(3, p.text).run();
  }
  if (model_) {
    add_vectors(ids, vectors);
  }
}

void Index::remove(std::int64_t document) {
  Statement select(database_, "SELECT id, heading, text FROM passages WHERE document = ?1");
  // The full-text index holds no text: it is told what was there.
  Statement words(database_,
                  "INSERT INTO words(words, rowid, heading, text) VALUES('delete', ?1, ?2, ?3)");
  Statement vector(database_, "DELETE FROM vectors WHERE passage = ?1");
  select.bind(1, document);
  while (select.step()) {
    const std::int64_t id = select.integer(0);
    words.bind(1, id).bind(2, select.text(1)).bind(3, select.text(2)).run();
    vector.bind(1, id).run();
  }
  Statement(database_, "DELETE FROM passages WHERE document = ?1").bind(1, document).run();
  Statement(database_, "DELETE FROM documents WHERE id = ?1").bind(1, document).run();
}

void Index::optimize() { database_.execute("INSERT INTO words(words) VALUES('optimize')"); }

void Index::remove_vectors() { database_.execute("DELETE FROM vectors"); }

void Index::add_vectors(std::span<const std::int64_t> passages, std::span<const float> vectors) {
  const auto dimension = static_cast<std::size_t>(model_.value().dimension);
  Statement insert(database_, "INSERT INTO vectors(passage, value) VALUES(?1, ?2)");
  for (std::size_t i = 0; i < passages.size(); ++i) {
    insert.bind(1, passages[i]).bind(2, row_bytes(vectors, i, dimension)).run();
  }
}

std::size_t Index::read_vectors(std::int64_t after, std::size_t capacity,
                                std::vector<std::int64_t> &ids, std::vector<float> &rows) const {
  const auto dimension = static_cast<std::size_t>(model_.value().dimension);
  Statement select(database_,
                   "SELECT passage, value FROM vectors WHERE passage > ?1 ORDER BY passage "
                   "LIMIT ?2");
  select.bind(1, after).bind(2, static_cast<std::int64_t>(capacity));
  std::size_t count = 0;
  for (; select.step(); ++count) {
    const std::int64_t id = select.integer(0);
    const std::span<const std::byte> blob = select.blob(1);
    if (blob.size() != dimension * sizeof(float)) {
      throw Error(CALM_CORRUPT_DATA,
                  fmt::format("{}: vector of passage {}: expected {} bytes, found {}", path(), id,
                              dimension * sizeof(float), blob.size()));
    }
    const std::size_t at = rows.size();
    rows.resize(at + dimension);
    std::memcpy(&rows[at], blob.data(), blob.size());
    double square = 0;
    for (std::size_t i = at; i < rows.size(); ++i) {
      square += static_cast<double>(rows[i]) * static_cast<double>(rows[i]);
    }
    // False for anything not finite.
    if (!(std::abs(square - 1) <= kLengthSlack || square == 0)) {
      throw Error(CALM_CORRUPT_DATA,
                  fmt::format("{}: vector of passage {}: expected length 1 or 0, found {}", path(),
                              id, std::sqrt(square)));
    }
    ids.push_back(id);
  }
  return count;
}

std::vector<Hit> Index::match(const std::string &expression, std::size_t limit) const {
  Statement select(database_,
                   "SELECT rowid, bm25(words) FROM words WHERE words MATCH ?1 ORDER BY 2, 1 "
                   "LIMIT ?2");
  select.bind(1, expression).bind(2, static_cast<std::int64_t>(limit));
  std::vector<Hit> hits;
  while (select.step()) {
    // FTS5 counts downwards.
    hits.push_back({select.integer(0), -select.real(1)});
  }
  return hits;
}

}  // namespace calm::search
