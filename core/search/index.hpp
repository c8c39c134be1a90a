#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/search/passages.hpp"
#include "core/search/sqlite.hpp"

namespace calm::search {

/// The model whose vectors an index holds.
struct ModelInfo {
  std::string sha256;  ///< of its parameters, see Encoder
  std::string path;    ///< absolute, where it was
  std::int64_t dimension = 0;
  std::string pooling;  ///< "mean" or "last"
};

/// A source that was cut into passages.
struct Document {
  std::string source;  ///< absolute path
  std::string title;
  std::string kind;        ///< "text", "pairs" or the domain that cut it
  std::int64_t mtime = 0;  ///< seconds since 1970
  std::int64_t size = 0;   ///< bytes
  std::string sha256;
};

struct Totals {
  std::int64_t documents = 0, passages = 0, vectors = 0;
};

/// A passage as it is shown.
struct StoredPassage {
  std::int64_t id = 0;
  std::string source, title, section, text;
  std::optional<std::int64_t> begin, end;  ///< bytes of the source, when known
};

struct StoredDocument {
  Document document;
  std::int64_t id = 0, passages = 0;
};

/// A passage's place in a ranked list: higher scores first, then lower ids.
struct Hit {
  std::int64_t passage = 0;
  double score = 0;
};
inline bool better(const Hit &a, const Hit &b) {
  return a.score != b.score ? a.score > b.score : a.passage < b.passage;
}

/// The file of an index (schema.hpp). Errors are those of sqlite.hpp; a file that breaks its format
/// is CALM_CORRUPT_DATA wherever that comes to light.
///
/// All that is done with one object is one transaction. A reader sees one state of the file; a
/// writer keeps other writers out from the start, and readers only while it commits.
class Index {
 public:
  /// Opens and checks a file; one that is to be written is read whole for that. With kCreate `path`
  /// must not exist yet.
  Index(const std::string &path, Database::Access access);

  /// Makes all changes at once. Without it there were none. Waits some time for readers.
  void commit();

  const std::string &path() const { return database_.path(); }
  /// Absent when the index has no vectors.
  const std::optional<ModelInfo> &model() const { return model_; }
  void set_model(const std::optional<ModelInfo> &model);

  Totals totals() const;
  std::vector<StoredDocument> documents() const;
  /// Id and sha256 of the document of a source.
  struct Known {
    std::int64_t id = 0;
    std::string sha256;
  };
  std::optional<Known> find(std::string_view source) const;
  /// CALM_CORRUPT_DATA when there is no such passage: ids come from the file itself.
  StoredPassage passage(std::int64_t id) const;
  /// Calls visit(id, text) for every passage, by id.
  void each_text(const std::function<void(std::int64_t, std::string_view)> &visit) const;

  /// Adds a document. `vectors` is [passages, dimension] of the index's model, or empty without
  /// one.
  void add(const Document &document, std::span<const Passage> passages,
           std::span<const float> vectors);
  void remove(std::int64_t document);
  /// Merges the full-text index into one piece: smaller and faster, worth it after much was added.
  void optimize();

  /// Replaces all vectors, for a new model: remove, then add for every passage.
  void remove_vectors();
  void add_vectors(std::span<const std::int64_t> passages, std::span<const float> vectors);

  /// The next vectors after passage `after` (0: from the first), at most `capacity` of them:
  /// appended to ids and to rows, `dimension` numbers each, of length 1 or 0. Returns how many.
  std::size_t read_vectors(std::int64_t after, std::size_t capacity, std::vector<std::int64_t> &ids,
                           std::vector<float> &rows) const;

  /// The best `limit` passages by BM25 for an expression of full_text_query(); score is BM25,
  /// higher is better.
  std::vector<Hit> match(const std::string &expression, std::size_t limit) const;

 private:
  void read_model();

  Database database_;
  std::optional<Transaction> transaction_;
  std::optional<ModelInfo> model_;
};

}  // namespace calm::search
