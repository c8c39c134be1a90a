#include "import.hpp"

#include <algorithm>
#include <calm/cpp/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <common/import_run.hpp>
#include <common/utf8_repair.hpp>

#include "dictd.hpp"
#include "entry.hpp"
#include "foldoc.hpp"
#include "gcide.hpp"
#include "generic.hpp"
#include "jargon.hpp"
#include "layout.hpp"
#include "wordnet.hpp"

namespace calm::dictionary {
namespace {

// More than any entry can hold; what a hostile index may make a record parser chew on.
constexpr std::size_t kMaxRecord = std::size_t{1} << 16;

struct Counts {
  std::uint64_t records = 0, entries = 0, shortened = 0, repaired = 0;
  std::uint64_t no_entry = 0, no_definition = 0, too_long = 0;
};

// A database named twice, by text and index say, is read once.
std::vector<DatabasePaths> find_databases(const calm_import &request) {
  std::vector<DatabasePaths> databases;
  for (std::uint32_t i = 0; i < request.n_sources; ++i) {
    DatabasePaths paths = find_database(copy(request.sources[i]));
    const bool known = std::any_of(databases.begin(), databases.end(),
                                   [&](const DatabasePaths &d) { return d.base == paths.base; });
    if (!known) {
      databases.push_back(std::move(paths));
    }
  }
  return databases;
}

class Importer {
 public:
  Importer(const calm_import &request, const calm_host *host)
      : request_(request),
        host_(host),
        l_max_(sources::read_options(request, "dictionary", false).l_max) {}

  void read(const Database &database) {
    const Layout layout = recognise(database);
    for (const Record &record : database.records()) {
      if (counts_.records++ % 1024 == 0 && host_ != nullptr && host_->cancelled(host_->self) != 0) {
        throw Error(CALM_CANCELLED, "import of " + database.name() + " stopped");
      }
      const std::string_view raw = database.text(record).substr(0, kMaxRecord);
      const std::string text = sources::repair_utf8(raw);
      counts_.repaired += text != raw ? 1u : 0u;
      const std::vector<Entry> entries = parse(layout, record, text);
      counts_.no_entry += entries.empty() ? 1u : 0u;
      for (Entry entry : entries) {
        emit(entry);
      }
    }
  }

  void report() const {
    const auto count = [&](std::string_view name, std::uint64_t n) {
      if (request_.count != nullptr) {
        request_.count(request_.context, str(name), n);
      }
    };
    count("records", counts_.records);
    count("entries", counts_.entries);
    count("shortened to fit l_max", counts_.shortened);
    count("records with repaired UTF-8", counts_.repaired);
    count("skipped: no entry in the record", counts_.no_entry);
    count("skipped: no definition", counts_.no_definition);
    count("skipped: too long for l_max", counts_.too_long);
  }

 private:
  // A database of its own layout gets its parser here.
  static std::vector<Entry> parse(Layout layout, const Record &record, std::string_view text) {
    switch (layout) {
      case Layout::kGcide:
        return parse_gcide(text);
      case Layout::kWordNet:
        return parse_wordnet(text);
      case Layout::kFoldoc:
        return parse_foldoc(text);
      case Layout::kJargon:
        return parse_jargon(text);
      case Layout::kGeneric:
        break;
    }
    std::vector<std::string> repaired;
    for (const std::string_view headword : record.headwords) {
      repaired.push_back(sources::repair_utf8(headword));
    }
    return parse_generic({repaired.begin(), repaired.end()}, text);
  }

  void emit(Entry &entry) {
    switch (fit_entry(entry, l_max_)) {
      case Fit::kNoDefinition:
        ++counts_.no_definition;
        return;
      case Fit::kTooLong:
        ++counts_.too_long;
        return;
      case Fit::kShortened:
        ++counts_.shortened;
        break;
      case Fit::kWhole:
        break;
    }
    ++counts_.entries;
    const std::string text = format_entry(entry);
    call(request_.record, request_.context, str(text));
  }

  const calm_import &request_;
  const calm_host *host_;
  std::size_t l_max_;
  Counts counts_;
};

}  // namespace

void import_databases(const calm_import &request, const calm_host *host) {
  Importer importer(request, host);
  for (const DatabasePaths &paths : find_databases(request)) {
    importer.read(Database(paths));
  }
  importer.report();
}

}  // namespace calm::dictionary
