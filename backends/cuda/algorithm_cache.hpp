// What timing has chosen, in a file, so that the next run chooses the same: the file is read first,
// and what stands in it once stays.
//
//   calm cuda algorithms 1
//   NVIDIA H200, 132 multiprocessors, driver 13000, cuBLASLt 130100
//   2880 256 64 … 0000004200000012…      a problem's numbers, the algorithm's bytes
//   sum 6c62272e07bb0142                 FNV-1a of all before
#pragma once

#include <calm/host.h>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace calm::cuda {

/// A cublasLtMatmulAlgo_t: of the library's version that it was asked of, "trivially serialized".
using Algorithm = std::array<std::uint64_t, 8>;
/// All that a choice depends on but the machine.
using Problem = std::vector<std::int64_t>;

/// No file, or one that cannot be used, is a warning on the host's log, one each for reading and
/// writing; choices then last as long as this object. Throws nothing but bad_alloc.
class AlgorithmCache {
 public:
  /// `machine`: one line, what times depend on. Files of another one are not used. `host` outlives
  /// this.
  AlgorithmCache(const calm_host *host, std::string machine);

  /// Null where it is not known.
  const Algorithm *find(const Problem &problem) const;
  /// The library does not know it: it is found no more, nor kept.
  void refuse(const Problem &problem);
  /// Keeps what was chosen. Where another process has kept something for the same problem
  /// meanwhile, that is what `find` gives from now on.
  void add(const std::map<Problem, Algorithm> &chosen);

  void warn(const std::string &text) const;

 private:
  using Choices = std::map<Problem, Algorithm>;
  /// What is in the file; nothing where there is none. Throws Error.
  Choices read() const;
  /// Throws Error.
  void publish() const;
  void take(Choices from);

  const calm_host *host_;
  std::string machine_;
  std::string folder_, path_;  // empty: nowhere
  Choices choices_;
  std::set<Choices::value_type> refused_;
  bool warned_of_reading_ = false;
  bool warned_of_writing_ = false;
};

}  // namespace calm::cuda
