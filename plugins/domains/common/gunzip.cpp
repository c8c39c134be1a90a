#include "gunzip.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <calm/cpp/error.hpp>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

namespace calm::sources {
namespace {

class File {
 public:
  explicit File(const std::string &path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
      const int reason = errno;
      close();
      throw Error(CALM_IO, path_ + ": cannot open: " + std::strerror(reason));
    }
    if (!S_ISREG(status.st_mode)) {
      close();
      throw Error(CALM_IO, path_ + ": cannot open: not a regular file");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~File() { close(); }
  File(const File &) = delete;
  File &operator=(const File &) = delete;

  std::uint64_t size() const { return size_; }

  /// Up to `capacity` bytes; 0 at the end.
  std::size_t read(char *dst, std::size_t capacity) const {
    for (;;) {
      const ssize_t n = ::read(descriptor_, dst, capacity);
      if (n >= 0) {
        return static_cast<std::size_t>(n);
      }
      if (errno != EINTR) {
        throw Error(CALM_IO, path_ + ": cannot read: " + std::strerror(errno));
      }
    }
  }

 private:
  void close() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
      descriptor_ = -1;
    }
  }

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

[[noreturn]] void corrupt(const std::string &path, const std::string &what) {
  throw Error(CALM_CORRUPT_DATA, path + ": " + what);
}

class Inflater {
 public:
  explicit Inflater(const std::string &path) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) {
      throw Error(CALM_OUT_OF_MEMORY, path + ": no memory to inflate");
    }
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater &) = delete;
  Inflater &operator=(const Inflater &) = delete;

  z_stream stream{};
};

constexpr std::size_t kBuffer = std::size_t{1} << 16;

}  // namespace

std::string read_file(const std::string &path, std::uint64_t limit) {
  const File file(path);
  if (file.size() > limit) {
    corrupt(path, "expected at most " + std::to_string(limit) + " bytes, found " +
                      std::to_string(file.size()));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const std::size_t n = file.read(text.data() + filled, text.size() - filled);
    if (n == 0) {
      corrupt(path, "expected " + std::to_string(text.size()) + " bytes, found " +
                        std::to_string(filled));
    }
    filled += n;
  }
  return text;
}

std::string read_gzip(const std::string &path, std::uint64_t limit) {
  const File file(path);
  return inflate_gzip([&file](char *dst, std::size_t capacity) { return file.read(dst, capacity); },
                      path, limit);
}

std::string inflate_gzip(const ByteSource &source, const std::string &name, std::uint64_t limit) {
  Inflater inflater(name);
  z_stream &z = inflater.stream;
  std::vector<char> in(kBuffer);
  std::vector<char> out(kBuffer);
  std::string text;
  std::uint64_t consumed = 0;  // bytes handed to zlib and taken
  bool ended = false;          // at the end of a member
  while (const std::size_t n = source(in.data(), in.size())) {
    z.next_in = reinterpret_cast<Bytef *>(in.data());
    z.avail_in = static_cast<uInt>(n);
    while (z.avail_in > 0) {
      if (ended) {  // gzip files may be concatenated
        inflateReset(&z);
      }
      z.next_out = reinterpret_cast<Bytef *>(out.data());
      z.avail_out = static_cast<uInt>(out.size());
      const uInt before = z.avail_in;
      const int status = inflate(&z, Z_NO_FLUSH);
      consumed += before - z.avail_in;
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
        corrupt(name, "offset " + std::to_string(consumed) + ": expected gzip data, found " +
                          (z.msg != nullptr ? z.msg : "something else"));
      }
      const std::size_t made = out.size() - z.avail_out;
      if (text.size() + made > limit) {
        corrupt(name, "expected at most " + std::to_string(limit) + " bytes inflated, found more");
      }
      text.append(out.data(), made);
      ended = status == Z_STREAM_END;
      if (made == 0 && before == z.avail_in && !ended) {
        corrupt(name, "offset " + std::to_string(consumed) + ": expected gzip data");
      }
    }
  }
  if (!ended) {
    corrupt(name, "expected the end of the gzip data, found the end of the file at offset " +
                      std::to_string(consumed));
  }
  return text;
}

}  // namespace calm::sources
