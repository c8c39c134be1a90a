#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace calm::train {

/// A number with its name: "loss/train".
struct Scalar {
  std::string_view tag;
  double value;
};

/// A TensorBoard event file, `events.out.tfevents.SECONDS.HOST.PID.N` in a run's folder: records of
/// a length, a protobuf Event and their masked CRC-32C each. Every writer has a file of its own, so
/// nothing is ever written into a file that another process reads or writes. Each record is handed
/// to the system whole; a failure ends the writing with a warning, never the run.
class EventFile {
 public:
  /// Creates the file and says in it that what an earlier one holds beyond `first_step` is void.
  EventFile(const std::string &folder, std::uint64_t first_step);

  /// Numbers after `step` updates; those that are not finite are left out.
  void add(std::uint64_t step, std::span<const Scalar> scalars);

  const std::string &path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  void write(std::string_view event);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace calm::train
