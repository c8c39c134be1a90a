#include "import.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include <common/import_run.hpp>
#include <common/plain.hpp>
#include <common/utf8_repair.hpp>

#include "document.hpp"
#include "passages.hpp"

namespace calm::netref {
namespace {

constexpr std::size_t npos = std::string_view::npos;
// BOS QUERY … END ATN REF … END EOS
constexpr std::size_t kFrames = 7;
// Spec H.2: shorter ones are not read back.
constexpr std::size_t kShortestQuery = 5;
constexpr std::size_t kShortestPassage = 20;
constexpr std::size_t kLookedAt = 4096;

bool is_text_name(std::string_view name) {
  constexpr std::string_view kEndings[] = {".txt",  ".text", ".md",  ".markdown",
                                           ".adoc", ".asc",  ".rst", ".asciidoc"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

class Importer {
 public:
  Importer(const calm_import &request, const calm_host *host)
      : run_(request, host), options_(sources::read_options(request, "netref", true)) {}

  void read_all() {
    run_.for_each_file([this](const sources::SourceFile &file, const std::string &bytes) {
      if (const std::optional<Document> document = read(file, sources::repair_utf8(bytes))) {
        run_.count("documents");
        emit(*document);
      }
    });
    run_.report();
  }

 private:
  std::optional<Document> read(const sources::SourceFile &file, std::string_view text) {
    const std::string_view name = sources::file_name(file.path);
    if (sources::is_manual_name(name)) {
      if (const auto manual = sources::parse_manual(text)) {
        return from_manual(*manual);
      }
      if (!is_text_name(name)) {
        run_.count("skipped files: no page of their own");  // .so and the like
        return std::nullopt;
      }
    }
    const bool binary = text.substr(0, kLookedAt).find('\0') != npos;
    if (binary || (!file.named && !is_text_name(name))) {
      run_.count("skipped files: neither manual page nor text");
      return std::nullopt;
    }
    return parse_text(text, name);
  }

  void emit(const Document &document) {
    const std::size_t room = options_.l_max > kFrames ? options_.l_max - kFrames : 0;
    for (const Answer &answer : answers_of(document, room)) {
      if (options_.pairs) {
        emit_pair(answer);
        continue;
      }
      for (const std::string &passage : answer.passages) {
        run_.count("passages");
        // A frame is one line.
        run_.emit("<QUERY>" + answer.query + "\n<ATN>\n<REF>" + sources::plain_text(passage));
      }
    }
  }

  void emit_pair(const Answer &answer) {
    const std::string &passage = answer.passages.front();
    if (sources::code_points(answer.query) < kShortestQuery ||
        sources::code_points(passage) < kShortestPassage) {
      run_.count("skipped: too short for a pair");
    } else if (!queries_.insert(answer.query).second) {
      run_.count("skipped: query seen before");
    } else if (!passages_.insert(passage).second) {
      run_.count("skipped: passage seen before");
    } else {
      run_.count("pairs");
      run_.emit("<QUERY>" + answer.query + "\n<REF>" + passage);
    }
  }

  sources::ImportRun run_;
  sources::ImportOptions options_;
  std::unordered_set<std::string> queries_, passages_;
};

}  // namespace

void import_references(const calm_import &request, const calm_host *host) {
  Importer(request, host).read_all();
}

}  // namespace calm::netref
