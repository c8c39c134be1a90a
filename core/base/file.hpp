#pragma once

#include <calm/base.h>
#include <calm/format.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace calm {

/// A regular file open for reading. Folders, FIFOs and devices are refused without blocking;
/// nothing is mapped, so a file that shrinks meanwhile is an error and never a signal. Failures
/// throw Error(CALM_IO) as "PATH: cannot open: REASON".
class InputFile {
 public:
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile &) = delete;
  InputFile &operator=(const InputFile &) = delete;

  const std::string &path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }

  /// Exactly `bytes` bytes from `offset`. CALM_CORRUPT_DATA when the file ends before, CALM_IO when
  /// the system refuses; both name the path. [any]
  void read_at(std::uint64_t offset, void *dst, std::uint64_t bytes) const;

  /// The same as the ABI's stream; its messages name the offset but not the path, which the caller
  /// of a format adds to every failure. Valid while this object lives.
  calm_stream stream() const noexcept;

 private:
  calm_status read_into(std::uint64_t offset, void *dst, std::uint64_t bytes,
                        calm_error *error) const noexcept;

  std::string path_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

/// A file being written: bytes go to a temporary beside the target, `publish` puts it in place as a
/// whole (save protocol in the design: write, fsync, rename, fsync of the folder). Unpublished, it
/// leaves nothing behind. Failures throw Error(CALM_IO) as "PATH: cannot write: REASON".
class OutputFile {
 public:
  /// Creates missing parent folders and the temporary. A target that is there must be a regular
  /// file; a link to one is written through. `mode` is subject to the umask.
  explicit OutputFile(std::string path, mode_t mode = 0666);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  const std::string &path() const noexcept { return path_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

  void write(const void *src, std::uint64_t bytes);
  /// The same as the ABI's sink. Valid while this object lives.
  calm_sink sink() noexcept;

  /// Once; fails when any write failed before.
  void publish();

 private:
  [[noreturn]] void refuse(const char *what, int number);
  void flush();

  std::string path_;       // as given, for messages
  std::string target_;     // links resolved
  std::string temporary_;  // empty once published
  std::vector<char> buffer_;
  std::uint64_t bytes_ = 0;
  int descriptor_ = -1;
  bool failed_ = false;
};

/// A whole small text file (configuration, manifest). CALM_CORRUPT_DATA when it is larger than
/// `limit`.
std::string read_text(const std::string &path, std::uint64_t limit);

/// Creates `folder` and its missing parents and makes their entries durable. Error(CALM_IO).
void make_folders(const std::string &folder);

/// Makes the entries of `folder` (new files, renames) durable. Error(CALM_IO).
void sync_folder(const std::string &folder);

}  // namespace calm
