#include "core/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/folder.hpp"
#include "core/base/io_error.hpp"

namespace calm {
namespace {

using io::parent_of;
using io::reason;

constexpr std::size_t kBufferBytes = 256 * 1024;

const char *type_name(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a folder";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

template <class Call>
auto retried(Call &&call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

// The file a link leads to, so that publishing replaces the file and not the link. The rest as
// given.
std::string resolved(const std::string &path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target.string();
}

// Opens a file that did not exist before. The name says whose it is: a later run sweeps those of
// dead processes.
int open_temporary(const std::string &folder, mode_t mode, std::string *out_path) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    *out_path = temporary_name(folder);
    const int descriptor = retried([&] {
      return ::open(out_path->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    });
    if (descriptor >= 0 || errno != EEXIST) {
      return descriptor;
    }
  }
  return -1;
}

}  // namespace

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // Without O_NONBLOCK, opening a FIFO waits for a writer.
  descriptor_ =
      retried([&] { return ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); });
  if (descriptor_ < 0) {
    io::refuse(path_, "cannot open", reason(errno));
  }
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const std::string why =
        known ? fmt::format("expected a regular file, found {}", type_name(status.st_mode))
              : reason(errno);
    ::close(descriptor_);
    io::refuse(path_, "cannot open", why);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read_at(std::uint64_t offset, void *dst, std::uint64_t bytes) const {
  calm_error error{};
  check(read_into(offset, dst, bytes, &error), error, path_);
}

calm_stream InputFile::stream() const noexcept {
  calm_stream stream{};
  stream.size = sizeof stream;
  stream.self = const_cast<InputFile *>(this);
  stream.bytes = size_;
  stream.read_at = [](void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                      calm_error *error) {
    return static_cast<const InputFile *>(self)->read_into(offset, dst, bytes, error);
  };
  return stream;
}

calm_status InputFile::read_into(std::uint64_t offset, void *dst, std::uint64_t bytes,
                                 calm_error *error) const noexcept {
  return guard(error, [&] {
    if (offset > size_ || bytes > size_ - offset) {
      throw Error(
          CALM_CORRUPT_DATA,
          fmt::format("offset {}: expected {} more bytes, found {} before the end of the file",
                      offset, bytes, offset > size_ ? 0 : size_ - offset));
    }
    auto *to = static_cast<char *>(dst);
    while (bytes > 0) {
      const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, 1u << 30));
      const ssize_t got =
          retried([&] { return ::pread(descriptor_, to, piece, static_cast<off_t>(offset)); });
      if (got < 0) {
        throw Error(CALM_IO, fmt::format("offset {}: cannot read: {}", offset, reason(errno)));
      }
      if (got == 0) {
        throw Error(CALM_IO,
                    fmt::format("offset {}: the file became shorter while it was read", offset));
      }
      to += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::uint64_t>(got);
    }
  });
}

OutputFile::OutputFile(std::string path, mode_t mode)
    : path_(std::move(path)), target_(resolved(path_)) {
  struct stat status {};
  if (::stat(target_.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) {
      io::refuse(path_, "cannot write",
                 fmt::format("expected a regular file, found {}", type_name(status.st_mode)));
    }
    // Renaming would get past the write protection of the file itself.
    if (::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0) {
      io::refuse(path_, "cannot write", reason(errno));
    }
  } else if (errno != ENOENT) {
    io::refuse(path_, "cannot write", reason(errno));
  }
  if (std::filesystem::path(target_).filename().empty()) {
    io::refuse(path_, "cannot write", "expected the name of a file, found the name of a folder");
  }
  make_folders(parent_of(target_));
  buffer_.reserve(kBufferBytes);
  std::string temporary;
  descriptor_ = open_temporary(parent_of(target_), mode, &temporary);
  if (descriptor_ < 0) {
    io::refuse(path_, "cannot write", reason(errno));
  }
  temporary_ = std::move(temporary);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

void OutputFile::refuse(const char *what, int number) {
  failed_ = true;
  io::refuse(path_, what, reason(number));
}

void OutputFile::write(const void *src, std::uint64_t bytes) {
  if (failed_ || temporary_.empty()) {
    io::refuse(path_, "cannot write", failed_ ? "an earlier write failed" : "already published");
  }
  const auto *from = static_cast<const char *>(src);
  bytes_ += bytes;
  while (bytes > 0) {
    const std::size_t piece =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kBufferBytes - buffer_.size()));
    buffer_.insert(buffer_.end(), from, from + piece);
    if (buffer_.size() == kBufferBytes) {
      flush();
    }
    from += piece;
    bytes -= piece;
  }
}

calm_sink OutputFile::sink() noexcept {
  calm_sink sink{};
  sink.size = sizeof sink;
  sink.self = this;
  sink.write = [](void *self, const void *src, std::uint64_t bytes, calm_error *error) {
    return guard(error, [&] { static_cast<OutputFile *>(self)->write(src, bytes); });
  };
  return sink;
}

void OutputFile::flush() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t put =
        retried([&] { return ::write(descriptor_, buffer_.data() + done, buffer_.size() - done); });
    if (put < 0) {
      refuse("cannot write", errno);
    }
    done += static_cast<std::size_t>(put);
  }
  buffer_.clear();
}

void OutputFile::publish() {
  if (failed_ || temporary_.empty()) {
    io::refuse(path_, "cannot publish", failed_ ? "an earlier write failed" : "already published");
  }
  flush();
  // A failed fsync may have dropped the data and forgotten it: asking again would lie.
  if (::fsync(descriptor_) != 0) {
    refuse("cannot make durable", errno);
  }
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) {
    refuse("cannot write", errno);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    refuse("cannot put in place", errno);
  }
  temporary_.clear();
  sync_folder(parent_of(target_));
}

std::string read_text(const std::string &path, std::uint64_t limit) {
  const InputFile file(path);
  if (file.size() > limit) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected at most {} bytes, found {}", path, limit, file.size()));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

void make_folders(const std::string &folder) {
  if (folder.empty() || std::filesystem::path(folder).relative_path().empty()) {
    return;
  }
  struct stat status {};
  if (::stat(folder.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) {
      io::refuse(folder, "cannot create", "a file has the name of this folder");
    }
    return;
  }
  const std::string parent = parent_of(folder);
  if (parent != folder) {
    make_folders(parent);
  }
  if (::mkdir(folder.c_str(), 0777) == 0) {
    sync_folder(parent);
  } else if (errno != EEXIST) {
    io::refuse(folder, "cannot create", reason(errno));
  }
}

void sync_folder(const std::string &folder) {
  const int descriptor =
      retried([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) {
    io::refuse(folder, "cannot make durable", reason(errno));
  }
  // EINVAL: a file system on which folders need no such care.
  const int synced = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  const int closed = ::close(descriptor) == 0 || errno == EINTR ? 0 : errno;
  if (synced != 0 || closed != 0) {
    io::refuse(folder, "cannot make durable", reason(synced != 0 ? synced : closed));
  }
}

}  // namespace calm
