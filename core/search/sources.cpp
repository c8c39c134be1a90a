#include "core/search/sources.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <calm/domain.h>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/base/digest.hpp"
#include "core/base/file.hpp"
#include "core/base/io_error.hpp"
#include "core/base/log.hpp"
#include "core/data/pairs.hpp"
#include "core/text/utf8.hpp"

namespace calm::search {
namespace {

namespace fs = std::filesystem;

// The domain that knows how manuals and standards are written.
constexpr std::string_view kDomain = "netref";
constexpr std::string_view kGzip = "\x1f\x8b";

constexpr std::string_view kQuery = "<QUERY>", kPassage = "<REF>";

bool has_line(std::string_view text, std::string_view tag) {
  return text.starts_with(tag) || text.find("\n" + std::string(tag)) != std::string_view::npos;
}

bool is_pairs(std::string_view text) { return has_line(text, kQuery) && has_line(text, kPassage); }

// Requests and comments of roff at the start of lines: manual pages have many.
bool is_roff(std::string_view text) {
  const std::string_view head = text.substr(0, 4096);
  constexpr std::array<std::string_view, 4> kMacros = {".TH ", ".Dd ", ".SH ", ".so "};
  return std::any_of(kMacros.begin(), kMacros.end(),
                     [&](std::string_view macro) { return has_line(head, macro); });
}

// Pages with feet: what is text but not prose is left out by the domain.
bool is_rfc(std::string_view text) {
  return text.find('\f') != std::string_view::npos && text.find("[Page ") != std::string_view::npos;
}

// "tar.1.gz" is tar(1).
std::string title_of(const std::string &path, bool manual) {
  std::string name = fs::path(path).filename().string();
  if (name.ends_with(".gz")) {
    name.resize(name.size() - 3);
  }
  const std::size_t dot = name.rfind('.');
  const bool section = dot != std::string::npos && dot > 0 && dot + 1 < name.size() &&
                       name[dot + 1] >= '1' && name[dot + 1] <= '9';
  return manual && section ? name.substr(0, dot) + "(" + name.substr(dot + 1) + ")" : name;
}

void expect_text(const Source &source) {
  const std::string &path = source.document.source;
  if (const auto offset = text::find_invalid_utf8(source.content)) {
    throw Error(
        CALM_CORRUPT_DATA,
        fmt::format("{}: offset {}: expected UTF-8 text, found other bytes", path, *offset));
  }
  if (const std::size_t offset = source.content.find('\0'); offset != std::string::npos) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: offset {}: expected text, found a zero byte", path, offset));
  }
}

std::vector<Passage> cut_pairs(const Source &source) {
  const std::string &path = source.document.source;
  data::PairFile file = data::parse_pairs(source.content, path);
  for (const std::uint64_t line : file.replaced_queries) {
    log_warning("{}: line {}: a query without a passage before it", path, line);
  }
  if (file.too_short > 0) {
    log_warning("{}: {} pairs are too short and left out", path, file.too_short);
  }
  std::vector<Passage> passages;
  for (data::TextPair &pair : file.pairs) {
    passages.push_back({std::move(pair.query), {}, std::move(pair.passage), {}});
  }
  return passages;
}

// What the importer of a domain talks to.
struct Receiver {
  const run::Runtime *runtime;
  std::string path;
  std::vector<Passage> passages;
};

calm_status take_record(void *self, calm_str record, calm_error *error) {
  return guard(error, [&] {
    auto &receiver = *static_cast<Receiver *>(self);
    if (receiver.runtime->cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while reading the sources");
    }
    const std::string text = text::replace_invalid_utf8(view(record));
    std::string_view rest = text, section;
    std::string passage;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.starts_with(kQuery)) {
        section = line.substr(kQuery.size());
      } else if (!line.starts_with("<ATN>")) {
        passage += line.substr(line.starts_with(kPassage) ? kPassage.size() : 0);
        passage += '\n';
      }
    }
    cut_section(section, passage, receiver.passages);
  });
}

void ignore_count(void * /*context*/, calm_str /*name*/, std::uint64_t /*count*/) {}

std::vector<Passage> import(run::Runtime &runtime, const std::string &path) {
  const calm_domain &domain = runtime.plugins().domain(kDomain);
  const calm_str source = str(path);
  // A record is at most so long that its passage is not cut again.
  const std::vector<calm_value> options = {
      value("l_max", static_cast<std::int64_t>(kLongestPassage))};
  Receiver receiver{&runtime, path, {}};
  calm_import request{};
  request.size = sizeof request;
  request.n_sources = 1;
  request.sources = &source;
  request.options = table(options);
  request.context = &receiver;
  request.record = take_record;
  request.count = ignore_count;
  call(domain.import, &request, runtime.host().table());
  return std::move(receiver.passages);
}

// The first of those that say the same: the others would fill a list without adding to it.
void drop_repeated(std::vector<Passage> &passages) {
  std::unordered_set<std::string> seen;
  std::erase_if(passages, [&seen](const Passage &p) { return !seen.insert(p.text).second; });
}

bool imports(run::Runtime &runtime) {
  const std::vector<std::string> ids = runtime.plugins().ids("domain");
  return std::find(ids.begin(), ids.end(), kDomain) != ids.end() &&
         runtime.plugins().domain(kDomain).import != nullptr;
}

void list_below(const std::string &folder, std::vector<SourceFile> &out) {
  std::vector<SourceFile> found;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code unknown;
    if (it->symlink_status(unknown).type() == fs::file_type::regular) {
      found.push_back({it->path().string(), false});
    }
  }
  if (error) {
    io::refuse(folder, "cannot list", error.message());
  }
  std::sort(found.begin(), found.end(),
            [](const SourceFile &a, const SourceFile &b) { return a.path < b.path; });
  std::move(found.begin(), found.end(), std::back_inserter(out));
}

}  // namespace

std::string source_name(const std::string &path) {
  std::error_code error;
  const fs::path full = fs::absolute(path, error);
  if (error) {
    io::refuse(path, "cannot open", error.message());
  }
  std::string name = full.lexically_normal().string();
  while (name.size() > 1 && name.back() == '/') {
    name.pop_back();
  }
  return name;
}

std::vector<SourceFile> list_sources(std::span<const std::string> given) {
  std::vector<SourceFile> all;
  for (const std::string &path : given) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::directory) {
      list_below(source_name(path), all);
    } else if (status.type() == fs::file_type::not_found) {
      io::refuse(path, "cannot open",
                 std::make_error_code(std::errc::no_such_file_or_directory).message());
    } else {
      all.push_back({source_name(path), true});
    }
  }
  std::unordered_set<std::string> seen;
  std::vector<SourceFile> once;
  for (SourceFile &file : all) {
    if (seen.insert(file.path).second) {
      once.push_back(std::move(file));
    }
  }
  return once;
}

Source read_source(const std::string &path) {
  Source source;
  source.document.source = path;
  source.content = read_text(path, kLargestSource);
  source.document.size = static_cast<std::int64_t>(source.content.size());
  Sha256 sum;
  sum.add(source.content.data(), source.content.size());
  source.document.sha256 = sum.hex();
  std::error_code error;
  const fs::file_time_type changed = fs::last_write_time(path, error);
  if (!error) {
    const auto since = std::chrono::file_clock::to_sys(changed).time_since_epoch();
    source.document.mtime = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  }
  return source;
}

std::vector<Passage> cut_source(run::Runtime &runtime, Source &source) {
  Document &document = source.document;
  const std::string_view content = source.content;
  const bool zipped = content.starts_with(kGzip);
  const bool manual = zipped || is_roff(content);
  document.title = title_of(document.source, manual);
  std::vector<Passage> passages;
  if (!zipped && is_pairs(content)) {
    document.kind = "pairs";
    passages = cut_pairs(source);
    drop_repeated(passages);
    return passages;
  }
  if ((manual || is_rfc(content)) && imports(runtime)) {
    document.kind = kDomain;
    passages = import(runtime, document.source);
    drop_repeated(passages);
  }
  if (zipped && document.kind.empty()) {
    throw Error(CALM_UNSUPPORTED, fmt::format("{}: expected the domain {}, which reads packed "
                                              "manuals, found no such plugin",
                                              document.source, kDomain));
  }
  if (passages.empty() && !zipped) {
    document.kind = "text";
    expect_text(source);
    passages = cut_text(content);
  }
  for (Passage &passage : passages) {
    passage.heading = document.title + " " + passage.section;
  }
  return passages;
}

}  // namespace calm::search
