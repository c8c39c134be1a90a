#include "core/base/folder.hpp"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <stdio.h>   // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <new>
#include <random>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/io_error.hpp"
#include "core/base/log.hpp"

namespace calm {
namespace {

namespace fs = std::filesystem;
using io::parent_of;
using io::reason;

constexpr std::string_view kPrefix = ".tmp-";

// The process a temporary's name says it belongs to; 0 for any other name.
pid_t owner_of(std::string_view name) {
  if (name.substr(0, kPrefix.size()) != kPrefix) {
    return 0;
  }
  const std::string_view rest = name.substr(kPrefix.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
  return error == std::errc() && end != rest.data() + rest.size() && *end == '-' ? pid : 0;
}

bool alive(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

// Puts `from` in the place of `to`, where a folder may be already; true when `from` now holds what
// was there.
bool put_in_place(const std::string &from, const std::string &to) {
  if (::rename(from.c_str(), to.c_str()) == 0) {
    return false;
  }
  if (errno != ENOTEMPTY && errno != EEXIST) {
    io::refuse(to, "cannot put in place", reason(errno));
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    io::refuse(to, "cannot replace", reason(errno));
  }
  return true;
}

}  // namespace

std::string temporary_name(const std::string &folder) {
  std::random_device random;
  return fmt::format("{}/{}{}-{:08x}", folder, kPrefix, ::getpid(), random());
}

OutputFolder::OutputFolder(std::string path) : path_(std::move(path)) {
  make_folders(parent_of(path_));
  for (int attempt = 0; attempt < 16; ++attempt) {
    temporary_ = temporary_name(parent_of(path_));
    if (::mkdir(temporary_.c_str(), 0777) == 0) {
      return;
    }
    if (errno != EEXIST) {
      break;
    }
  }
  const int number = errno;
  temporary_.clear();
  io::refuse(path_, "cannot write", reason(number));
}

OutputFolder::~OutputFolder() {
  if (!temporary_.empty()) {
    std::error_code ignored;  // the next sweep has another try
    fs::remove_all(temporary_, ignored);
  }
}

void OutputFolder::publish() {
  sync_folder(temporary_);
  if (!put_in_place(temporary_, path_)) {
    temporary_.clear();
  }
  sync_folder(parent_of(path_));
  // What was replaced goes only now that its replacement is durable: see the destructor.
}

FolderLock::FolderLock(const std::string &folder) {
  const std::string path = folder + "/.lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (descriptor_ < 0) {
    io::refuse(path, "cannot lock", reason(errno));
  }
  std::array<char, 32> text{};
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    const ssize_t got = ::pread(descriptor_, text.data(), text.size() - 1, 0);
    ::close(descriptor_);
    if (number != EWOULDBLOCK) {
      io::refuse(path, "cannot lock", reason(number));
    }
    const std::string_view holder(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    io::refuse(folder, "in use",
               fmt::format("process {} is writing there", holder.substr(0, holder.find('\n'))));
  }
  // For people, and for the message above; the lock itself needs no contents.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int number = errno;
    ::close(descriptor_);
    io::refuse(path, "cannot lock", reason(number));
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

std::size_t sweep_temporaries(const std::string &folder) {
  std::size_t removed = 0;
  for (const std::string &path : list_folder(folder)) {
    const pid_t owner = owner_of(fs::path(path).filename().string());
    if (owner <= 0 || alive(owner)) {
      continue;
    }
    std::error_code error;
    fs::remove_all(path, error);
    if (error) {
      log_warning("{}: cannot remove: {}", path, error.message());
    } else {
      ++removed;
    }
  }
  return removed;
}

std::vector<std::string> list_folder(const std::string &folder) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) {
    return paths;
  }
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    paths.push_back(it->path().string());
  }
  if (error == std::errc::not_enough_memory) {
    throw std::bad_alloc();  // the library's own, for the names: not the folder's fault
  }
  if (error) {
    io::refuse(folder, "cannot list", error.message());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void move_entry(const std::string &from, const std::string &to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    io::refuse(from, fmt::format("cannot move to {}", to), reason(errno));
  }
  sync_folder(parent_of(to));
  if (parent_of(from) != parent_of(to)) {
    sync_folder(parent_of(from));
  }
}

}  // namespace calm
