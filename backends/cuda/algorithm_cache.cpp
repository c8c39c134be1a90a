#include "cuda/algorithm_cache.hpp"

#include <calm/cpp/error.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace calm::cuda {
namespace {

constexpr std::string_view kTitle = "calm cuda algorithms 1";
constexpr std::string_view kSum = "sum ";
constexpr std::size_t kHex = 16;
constexpr std::size_t kMostNameBytes = 200;
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

std::string variable(const char *name) {
  const char *const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

/// The XDG base directory specification: a relative value is to be ignored. Empty: nowhere.
std::string cache_folder() {
  const std::string cache = variable("XDG_CACHE_HOME");
  if (cache.starts_with('/')) {
    return cache + "/calm";
  }
  const std::string home = variable("HOME");
  return home.starts_with('/') ? home + "/.cache/calm" : std::string();
}

std::string name_of(const std::string &machine) {
  std::string name = "cuda_algorithms-";
  for (const char c : machine) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain || name.back() != '_') {
      name += plain ? c : '_';
    }
  }
  return name.substr(0, kMostNameBytes) + ".txt";
}

[[noreturn]] void refuse_io(const std::string &what) {
  throw Error(CALM_IO, what + ": " + std::strerror(errno));
}

template <class Call>
auto retried(Call &&call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// The bytes of a file, or none where there is no such file. Throws Error.
std::string bytes_of(const std::string &path) {
  // Without O_NONBLOCK, opening a FIFO waits for a writer.
  const Descriptor file(
      retried([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }));
  if (file.number() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return {};
    }
    refuse_io("cannot open");
  }
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) {
    refuse_io("cannot read");
  }
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > kMostBytes) {
    throw Error(CALM_CORRUPT_DATA, "expected a regular file of at most 64 MiB, found another");
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got =
        retried([&] { return ::read(file.number(), &bytes[at], bytes.size() - at); });
    if (got < 0) {
      refuse_io("cannot read");
    }
    if (got == 0) {
      break;
    }
    at += static_cast<std::size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

std::string hex(std::uint64_t number) {
  char text[kHex + 1];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

/// FNV-1a.
std::uint64_t sum_of(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const char c : text) {
    sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return sum;
}

/// Up to `end`, which goes too; all where it does not occur.
std::string_view cut(std::string_view &text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view first = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return first;
}

template <class T>
bool parse(std::string_view text, T &number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_line(std::string_view line, Problem &problem, Algorithm &algorithm) {
  while (line.find(' ') != std::string_view::npos) {
    if (!parse(cut(line, ' '), problem.emplace_back(), 10)) {
      return false;
    }
  }
  if (line.size() != kHex * algorithm.size()) {
    return false;
  }
  for (std::uint64_t &word : algorithm) {
    if (!parse(line.substr(0, kHex), word, 16)) {
      return false;
    }
    line.remove_prefix(kHex);
  }
  return true;
}

}  // namespace

AlgorithmCache::AlgorithmCache(const calm_host *host, std::string machine)
    : host_(host), machine_(std::move(machine)), folder_(cache_folder()) {
  if (folder_.empty()) {
    warn(
        "algorithms=timed: expected XDG_CACHE_HOME or HOME, found neither: algorithms are timed in "
        "each run, and one seed may give other bits");
    return;
  }
  path_ = folder_ + '/' + name_of(machine_);
  try {
    choices_ = read();
  } catch (const Error &e) {
    warn(path_ + ": " + e.what() + ": algorithms are timed anew");
    warned_of_reading_ = true;
  }
}

void AlgorithmCache::warn(const std::string &text) const {
  host_->log(host_->self, CALM_LOG_WARN, str(text));
}

const Algorithm *AlgorithmCache::find(const Problem &problem) const {
  const auto found = choices_.find(problem);
  return found == choices_.end() ? nullptr : &found->second;
}

void AlgorithmCache::refuse(const Problem &problem) {
  const auto found = choices_.find(problem);
  if (found != choices_.end()) {
    refused_.insert(*found);
    choices_.erase(found);
  }
}

/// What is known stays.
void AlgorithmCache::take(Choices from) {
  for (const auto &choice : refused_) {
    const auto found = from.find(choice.first);
    if (found != from.end() && found->second == choice.second) {
      from.erase(found);
    }
  }
  choices_.merge(from);
}

void AlgorithmCache::add(const Choices &chosen) {
  if (path_.empty()) {
    take(chosen);
    return;
  }
  std::error_code none;
  std::filesystem::create_directories(folder_, none);  // publish says what went wrong
  // Held until all is done. Where a file system has no locks, the last to write decides.
  const Descriptor lock(
      retried([&] { return ::open(folder_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY); }));
  if (lock.number() >= 0) {
    static_cast<void>(retried([&] { return ::flock(lock.number(), LOCK_EX); }));
  }
  try {
    take(read());
  } catch (const Error &e) {
    if (!std::exchange(warned_of_reading_, true)) {
      warn(path_ + ": " + e.what() + ": written anew");
    }
  }
  take(chosen);
  try {
    publish();
    static_cast<void>(::fsync(lock.number()));
  } catch (const Error &e) {
    if (!std::exchange(warned_of_writing_, true)) {
      warn(path_ + ": " + e.what() +
           ": algorithms are timed in each run, and one seed may give other bits");
    }
  }
}

AlgorithmCache::Choices AlgorithmCache::read() const {
  const std::string bytes = bytes_of(path_);
  if (bytes.empty()) {
    return {};
  }
  const auto refuse = [](const std::string &expected) {
    throw Error(CALM_CORRUPT_DATA, "expected " + expected + ", found another");
  };
  const std::size_t end = bytes.rfind(kSum);
  if (end == std::string::npos ||
      bytes.substr(end) != std::string(kSum) + hex(sum_of(bytes.substr(0, end))) + '\n') {
    refuse("a file that ends with its sum");
  }
  std::string_view rest = std::string_view(bytes).substr(0, end);
  if (cut(rest, '\n') != kTitle) {
    refuse("the first line \"" + std::string(kTitle) + "\"");
  }
  if (cut(rest, '\n') != machine_) {
    refuse("algorithms for " + machine_);
  }
  Choices choices;
  while (!rest.empty()) {
    Problem problem;
    Algorithm algorithm{};
    if (!parse_line(cut(rest, '\n'), problem, algorithm)) {
      refuse("numbers and an algorithm in each line");
    }
    choices.emplace(std::move(problem), algorithm);
  }
  return choices;
}

void AlgorithmCache::publish() const {
  std::string text = std::string(kTitle) + '\n' + machine_ + '\n';
  for (const auto &[problem, algorithm] : choices_) {
    for (const std::int64_t number : problem) {
      text += std::to_string(number) + ' ';
    }
    for (const std::uint64_t word : algorithm) {
      text += hex(word);
    }
    text += '\n';
  }
  text += std::string(kSum) + hex(sum_of(text)) + '\n';

  std::string temporary = path_ + ".XXXXXX";
  const Descriptor file(retried([&] { return ::mkostemp(temporary.data(), O_CLOEXEC); }));
  if (file.number() < 0) {
    refuse_io("cannot write");
  }
  const auto fail = [&] {
    const int reason = errno;
    static_cast<void>(::unlink(temporary.c_str()));
    errno = reason;
    refuse_io("cannot write");
  };
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t put = retried([&] { return ::write(file.number(), rest.data(), rest.size()); });
    if (put < 0) {
      fail();
    }
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(file.number()) != 0 || ::rename(temporary.c_str(), path_.c_str()) != 0) {
    fail();
  }
}

}  // namespace calm::cuda
