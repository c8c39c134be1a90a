#pragma once

#include <calm/domain.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <common/sources.hpp>

namespace calm::sources {

struct ImportOptions {
  std::size_t l_max = 768;  ///< tokens a record may have
  bool pairs = false;       ///< query and passage, spec H.2, instead of records
};

/// Throws INVALID_ARGUMENT for an option `domain` does not take.
ImportOptions read_options(const calm_import &request, std::string_view domain, bool takes_pairs);

/// One run of an importer: gives files in, takes records out, keeps the counts.
class ImportRun {
 public:
  ImportRun(const calm_import &request, const calm_host *host) : request_(request), host_(host) {}
  ImportRun(const ImportRun &) = delete;
  ImportRun &operator=(const ImportRun &) = delete;

  /// Each file of the request with its bytes, inflated. A file found in a folder that cannot be
  /// read is counted and logged; one that was named throws. Throws CANCELLED when the user asked to
  /// stop.
  void for_each_file(const std::function<void(const SourceFile &, const std::string &)> &read);

  /// Hands out a record unless the same was handed out before.
  void emit(std::string_view record);

  /// Adds to a count; those never mentioned are not reported.
  void count(std::string_view name, std::uint64_t n = 1);
  /// Reports the counts in the order they were first mentioned in.
  void report() const;

 private:
  const calm_import &request_;
  const calm_host *host_;
  std::unordered_set<std::uint64_t> seen_;  // hashes of records
  std::vector<std::pair<std::string, std::uint64_t>> counts_;
};

}  // namespace calm::sources
