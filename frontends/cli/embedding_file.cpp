#include "frontends/cli/embedding_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/data/tensor_file.hpp"

namespace calm::cli {

namespace {

[[noreturn]] void refuse(const std::string &path) {
  throw Error(CALM_IO, path + ": cannot write: " + std::generic_category().message(errno));
}

// A file without a name in the folder of `path`: gone when closed, also after a crash.
int open_unlinked(const std::string &path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {  // not every file system can
    std::string name = folder + "/.calm-rows-XXXXXX";
    descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor >= 0) {
      ::unlink(name.c_str());
    }
  }
  if (descriptor < 0) {
    refuse(path);
  }
  return descriptor;
}

// The bytes of a file nobody else can reach, so they cannot shrink under the mapping.
class Mapping {
 public:
  Mapping(int descriptor, std::uint64_t bytes, const std::string &path) : bytes_(bytes) {
    if (bytes > 0) {
      data_ = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
      if (data_ == MAP_FAILED) {
        refuse(path);
      }
    }
  }
  ~Mapping() {
    if (bytes_ > 0) {
      ::munmap(data_, bytes_);
    }
  }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  const void *data() const { return data_; }

 private:
  std::uint64_t bytes_;
  void *data_ = nullptr;
};

}  // namespace

EmbeddingFile::Kind EmbeddingFile::kind_of(const std::string &path) {
  if (std::string_view(path).ends_with(".safetensors")) {
    return Kind::kSafetensors;
  }
  if (std::string_view(path).ends_with(".npy")) {
    return Kind::kNpy;
  }
  throw Error(CALM_INVALID_ARGUMENT,
              "--output: expected a name that ends in .safetensors or .npy, found " + path);
}

EmbeddingFile::EmbeddingFile(const std::string &path, std::int64_t dimension)
    : kind_(kind_of(path)), file_(path), dimension_(dimension), rows_(open_unlinked(path)) {}

EmbeddingFile::~EmbeddingFile() { ::close(rows_); }

void EmbeddingFile::add(std::span<const float> rows) {
  const auto *at = reinterpret_cast<const char *>(rows.data());
  for (std::size_t left = rows.size_bytes(); left > 0;) {
    const ssize_t wrote = ::write(rows_, at, left);
    if (wrote < 0 && errno != EINTR) {
      refuse(file_.path());
    }
    if (wrote > 0) {
      at += wrote;
      left -= static_cast<std::size_t>(wrote);
    }
  }
  count_ += static_cast<std::int64_t>(rows.size()) / dimension_;
}

// numpy.lib.format, version 1.0: the header ends on a multiple of 64.
void EmbeddingFile::write_npy(const void *rows, std::uint64_t bytes) {
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", count_, dimension_);
  constexpr std::size_t kPreamble = 10;
  header.append(63 - (kPreamble + header.size()) % 64, ' ');
  header += '\n';
  file_.write("\x93NUMPY\x01\x00", 8);
  const unsigned char size[] = {static_cast<unsigned char>(header.size() % 256),
                                static_cast<unsigned char>(header.size() / 256)};
  file_.write(size, sizeof size);
  file_.write(header.data(), header.size());
  file_.write(rows, bytes);
}

void EmbeddingFile::publish(run::Runtime &runtime) {
  const auto bytes = static_cast<std::uint64_t>(count_ * dimension_) * sizeof(float);
  const Mapping rows(rows_, bytes, file_.path());
  if (kind_ == Kind::kNpy) {
    write_npy(rows.data(), bytes);
  } else {
    const std::string_view name = "embeddings";
    const calm_named_tensor tensor{str(name), type_of(CALM_F32, {count_, dimension_}), rows.data()};
    data::write_tensors(runtime, "safetensors", std::span(&tensor, 1), file_);
  }
  file_.publish();
}

}  // namespace calm::cli
