#include "core/search/build.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/folder.hpp"
#include "core/base/io_error.hpp"
#include "core/base/log.hpp"
#include "core/search/schema.hpp"

namespace calm::search {
namespace {

namespace fs = std::filesystem;

// Passages the model gets at once: enough to pack well, little enough to hold.
constexpr std::size_t kBatchPassages = 512;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

void expect_running(const Workshop &workshop) {
  if (workshop.runtime->cancelled()) {
    throw Error(CALM_CANCELLED, "stopped; the index is as it was");
  }
}

// Cuts sources and writes them, some documents at a time.
class Writer {
 public:
  Writer(const Workshop &workshop, Index &index) : workshop_(workshop), index_(index) {}

  Changes write(std::span<const SourceFile> files) {
    for (const SourceFile &file : files) {
      expect_running(workshop_);
      take(file);
      if (pending_passages_ >= kBatchPassages || pending_bytes_ >= kBatchBytes) {
        flush();
      }
    }
    flush();
    return changes_;
  }

 private:
  struct Pending {
    Document document;
    std::vector<Passage> passages;
    std::optional<std::int64_t> replaces;
  };

  void take(const SourceFile &file) {
    Pending next;
    try {
      Source source = read_source(file.path);
      const std::optional<Index::Known> known = index_.find(file.path);
      if (known && known->sha256 == source.document.sha256) {
        ++changes_.unchanged;
        return;
      }
      next.passages = cut_source(*workshop_.runtime, source);
      next.document = std::move(source.document);
      if (known) {
        next.replaces = known->id;
      }
    } catch (const Error &e) {
      // A folder may hold anything.
      if (file.named || (e.status() != CALM_CORRUPT_DATA && e.status() != CALM_IO)) {
        throw;
      }
      ++changes_.skipped;
      log_debug("{}", e.what());
      return;
    }
    if (next.passages.empty() && file.named) {
      log_warning("{}: no passage was found in it", file.path);
    }
    ++(next.replaces ? changes_.replaced : changes_.added);
    pending_passages_ += next.passages.size();
    for (const Passage &passage : next.passages) {
      pending_bytes_ += passage.text.size();
    }
    pending_.push_back(std::move(next));
  }

  void flush() {
    std::vector<std::string_view> texts;
    for (const Pending &pending : pending_) {
      for (const Passage &passage : pending.passages) {
        texts.push_back(passage.text);
      }
    }
    std::vector<float> vectors;
    if (workshop_.encoder != nullptr) {
      vectors = workshop_.encoder->embed(texts);
    }
    std::span<const float> rest = vectors;
    const std::size_t dimension = texts.empty() ? 0 : vectors.size() / texts.size();
    for (const Pending &pending : pending_) {
      if (pending.replaces) {
        index_.remove(*pending.replaces);
      }
      const std::size_t count = pending.passages.size() * dimension;
      index_.add(pending.document, pending.passages, rest.first(count));
      rest = rest.subspan(count);
    }
    changes_.passages += texts.size();
    pending_.clear();
    pending_passages_ = pending_bytes_ = 0;
    if (workshop_.progress) {
      workshop_.progress(changes_.added + changes_.replaced + changes_.unchanged + changes_.skipped,
                         changes_.passages);
    }
  }

  const Workshop &workshop_;
  Index &index_;
  Changes changes_;
  std::vector<Pending> pending_;
  std::size_t pending_passages_ = 0, pending_bytes_ = 0;
};

void sync_file(const std::string &path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    io::refuse(path, "cannot make durable", io::reason(errno));
  }
  const int synced = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (synced != 0) {
    io::refuse(path, "cannot make durable", io::reason(synced));
  }
}

// A file of this process that is gone at the end of the scope, unless it was published.
struct Temporary {
  std::string path;
  explicit Temporary(std::string p) : path(std::move(p)) {}
  ~Temporary() { ::unlink(path.c_str()); }
  Temporary(const Temporary &) = delete;
  Temporary &operator=(const Temporary &) = delete;
};

// Puts a file in the place of an index that may be there, and is locked meanwhile: a change that
// another process is at would be lost, and its journal be taken for one of the new file's.
void publish(const std::string &from, const std::string &to) {
  sync_file(from);
  std::error_code error;
  std::optional<Database> old;
  std::optional<Transaction> lock;
  if (fs::exists(to, error)) {
    old.emplace(to, Database::Access::kWrite);
    check_header(*old);
    lock.emplace(*old, Transaction::Kind::kExclusive);
  } else if (fs::exists(to + "-journal", error)) {
    io::refuse(to + "-journal", "in the way",
               "the journal of another index would spoil this one: remove it");
  }
  move_entry(from, to);
}

std::string resolved(const std::string &path) {
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  return error ? path : target.string();
}

}  // namespace

Changes build_index(const Workshop &workshop, const std::string &path,
                    std::span<const std::string> sources) {
  const std::vector<SourceFile> files = list_sources(sources);
  const std::string target = resolved(path);
  std::error_code error;
  if (fs::exists(target, error)) {
    const Index there(path, Database::Access::kRead);  // or it throws
  }
  const std::string folder = io::parent_of(target);
  make_folders(folder);
  sweep_temporaries(folder);
  const Temporary temporary(temporary_name(folder));
  Changes changes;
  {
    Index index(temporary.path, Database::Access::kCreate);
    if (workshop.encoder != nullptr) {
      index.set_model(workshop.encoder->info());
    }
    changes = Writer(workshop, index).write(files);
    if (changes.passages == 0) {
      throw Error(CALM_FAILED, "no passage was found in the sources; nothing was written");
    }
    index.optimize();
    index.commit();
  }
  publish(temporary.path, target);
  return changes;
}

Changes add_sources(const Workshop &workshop, Index &index, std::span<const std::string> sources) {
  const std::vector<SourceFile> files = list_sources(sources);
  if (index.model()) {
    expect_model(index, workshop.encoder->info());
  }
  const Changes changes = Writer(workshop, index).write(files);
  index.commit();
  return changes;
}

Changes remove_sources(Index &index, std::span<const std::string> sources) {
  Changes changes;
  for (const std::string &given : sources) {
    const std::string name = source_name(given);
    const std::uint64_t before = changes.removed;
    for (const StoredDocument &stored : index.documents()) {
      const std::string &source = stored.document.source;
      if (source == name || source.starts_with(name == "/" ? name : name + "/")) {
        index.remove(stored.id);
        ++changes.removed;
        changes.passages += static_cast<std::uint64_t>(stored.passages);
      }
    }
    if (changes.removed == before) {
      throw Error(
          CALM_NOT_FOUND,
          fmt::format("{}: expected a source of {}, found none of that name", given, index.path()));
    }
  }
  index.commit();
  return changes;
}

Changes rebuild_vectors(const Workshop &workshop, Index &index) {
  index.remove_vectors();
  index.set_model(workshop.encoder->info());
  Changes changes;
  std::vector<std::int64_t> ids;
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  const auto flush = [&] {
    expect_running(workshop);
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    index.add_vectors(ids, workshop.encoder->embed(views));
    changes.passages += ids.size();
    ids.clear();
    texts.clear();
    bytes = 0;
    if (workshop.progress) {
      workshop.progress(0, changes.passages);
    }
  };
  index.each_text([&](std::int64_t id, std::string_view text) {
    ids.push_back(id);
    texts.emplace_back(text);
    bytes += text.size();
    if (ids.size() >= kBatchPassages || bytes >= kBatchBytes) {
      flush();
    }
  });
  flush();
  index.commit();
  return changes;
}

void expect_model(const Index &index, const ModelInfo &model) {
  const ModelInfo &own = index.model().value();
  if (own.sha256 != model.sha256) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: expected the model {:.12}, which it was built with, found {:.12} "
                            "in {}; \"calm index rebuild IDX -m MODEL\" changes models",
                            index.path(), own.sha256, model.sha256, model.path));
  }
}

}  // namespace calm::search
