#include <common/sources.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <calm/cpp/error.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include <common/gunzip.hpp>

namespace calm::sources {
namespace {

namespace fs = std::filesystem;

// More files than any documentation has; what a wrong folder may make us list.
constexpr std::size_t kMaxFiles = std::size_t{1} << 20;
constexpr std::string_view kCompressed = ".gz";

using FileId = std::pair<dev_t, ino_t>;

class Lister {
 public:
  void add(const std::string &source) {
    struct stat status {};
    if (::stat(source.c_str(), &status) != 0) {
      throw Error(CALM_IO, source + ": cannot open: " + std::strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
      take(source, status, true);
      return;
    }
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator at(source, fs::directory_options::skip_permission_denied,
                                        error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      if (found.size() == kMaxFiles) {
        throw Error(CALM_INVALID_ARGUMENT,
                    source + ": expected at most " + std::to_string(kMaxFiles) + " files");
      }
      found.push_back(at->path().string());
    }
    if (error) {
      throw Error(CALM_IO, source + ": cannot list: " + error.message());
    }
    std::sort(found.begin(), found.end());
    for (const std::string &path : found) {
      if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
        take(path, status, false);
      }
    }
  }

  std::vector<SourceFile> files;

 private:
  void take(const std::string &path, const struct stat &status, bool named) {
    if (known_.emplace(status.st_dev, status.st_ino).second) {
      files.push_back({path, named});
    }
  }

  std::set<FileId> known_;
};

// A pipe or a device would make us wait or lose what it holds, so only regular files are read.
std::optional<std::string> read_part(const std::string &path, std::size_t limit, bool end) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return std::nullopt;
  }
  std::optional<std::string> out;
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(size, limit)), '\0');
    const auto start = end ? static_cast<off_t>(size - bytes.size()) : off_t{0};
    std::size_t filled = 0;
    while (filled < bytes.size()) {
      const ssize_t n = ::pread(file, bytes.data() + filled, bytes.size() - filled,
                                start + static_cast<off_t>(filled));
      if (n <= 0) {
        break;
      }
      filled += static_cast<std::size_t>(n);
    }
    bytes.resize(filled);
    out = std::move(bytes);
  }
  ::close(file);
  return out;
}

bool is_gzip(const std::string &bytes) { return bytes.starts_with("\x1f\x8b"); }

}  // namespace

std::vector<SourceFile> list_files(const calm_import &request) {
  Lister lister;
  for (std::uint32_t i = 0; i < request.n_sources; ++i) {
    lister.add(copy(request.sources[i]));
  }
  return std::move(lister.files);
}

std::string read_bytes(const std::string &path, std::uint64_t limit) {
  std::string bytes = read_file(path, limit);
  return is_gzip(bytes) ? read_gzip(path, limit) : bytes;
}

std::optional<std::string> read_beginning(const std::string &path, std::size_t limit) {
  return read_part(path, limit, false);
}

std::optional<std::string> read_end(const std::string &path, std::size_t limit) {
  return read_part(path, limit, true);
}

std::string_view file_name(std::string_view path) {
  path.remove_prefix(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (path.ends_with(kCompressed)) {
    path.remove_suffix(kCompressed.size());
  }
  return path;
}

}  // namespace calm::sources
