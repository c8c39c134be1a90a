#include <common/import_run.hpp>

#include <algorithm>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm::sources {
namespace {

constexpr std::int64_t kMaxLMax = 65534;

// FNV-1a: the same on every machine.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

}  // namespace

ImportOptions read_options(const calm_import &request, std::string_view domain, bool takes_pairs) {
  ImportOptions options;
  for (std::uint32_t i = 0; i < request.options.count; ++i) {
    const calm_value &option = record<calm_value>(request.options, i);
    if (view(option.name) == "l_max" && option.type == CALM_VALUE_I64) {
      if (option.i64 < 1 || option.i64 > kMaxLMax) {
        throw Error(CALM_INVALID_ARGUMENT, "l_max: expected 1 to " + std::to_string(kMaxLMax) +
                                               ", found " + std::to_string(option.i64));
      }
      options.l_max = static_cast<std::size_t>(option.i64);
    } else if (takes_pairs && view(option.name) == "pairs" && option.type == CALM_VALUE_BOOL) {
      options.pairs = option.i64 != 0;
    } else {
      throw Error(CALM_INVALID_ARGUMENT, "import " + std::string(domain) +
                                             ": expected the option l_max (an integer)" +
                                             (takes_pairs ? " or pairs (yes or no)" : "") +
                                             ", found " + copy(option.name));
    }
  }
  return options;
}

void ImportRun::for_each_file(
    const std::function<void(const SourceFile &, const std::string &)> &read) {
  for (const SourceFile &file : list_files(request_)) {
    if (host_ != nullptr && host_->cancelled(host_->self) != 0) {
      throw Error(CALM_CANCELLED, file.path + ": import stopped");
    }
    std::string text;
    try {
      text = read_bytes(file.path);
    } catch (const Error &e) {
      if (file.named || e.status() == CALM_OUT_OF_MEMORY) {
        throw;
      }
      count("skipped files: cannot be read");
      if (host_ != nullptr) {
        host_->log(host_->self, CALM_LOG_WARN, str(e.what()));
      }
      continue;
    }
    read(file, text);
  }
}

void ImportRun::emit(std::string_view record) {
  if (!seen_.insert(hash_of(record)).second) {
    count("skipped: the same once more");
    return;
  }
  call(request_.record, request_.context, str(record));
}

void ImportRun::count(std::string_view name, std::uint64_t n) {
  const auto known = std::find_if(counts_.begin(), counts_.end(),
                                  [&](const auto &entry) { return entry.first == name; });
  if (known == counts_.end()) {
    counts_.emplace_back(name, n);
  } else {
    known->second += n;
  }
}

void ImportRun::report() const {
  if (request_.count != nullptr) {
    for (const auto &[name, n] : counts_) {
      request_.count(request_.context, str(name), n);
    }
  }
}

}  // namespace calm::sources
