#pragma once

#include <calm/domain.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace calm::test {

/// A folder of its own under the system's temporary one, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  /// Writes a file and gives its path.
  std::string write(std::string_view name, std::string_view contents) const;

 private:
  std::string path_;
};

/// A gzip file of stored blocks, with the extra field dictzip puts there.
std::string gzip(std::string_view contents);

/// dictd's base 64.
std::string base64(std::uint64_t number);

/// The text of a database and its index: records end to end, each under its headwords.
struct Database {
  std::string text;
  std::string index;

  void add(const std::vector<std::string> &headwords, std::string_view record);
};

/// What an import gave.
struct Imported {
  calm_status status = CALM_OK;
  std::string message;
  std::vector<std::string> records;
  std::map<std::string, std::uint64_t> counts;
};

/// The domain of that id, loaded as the program loads it.
const calm_domain &domain_of(std::string_view id);
const calm_domain &dictionary();

/// Runs the importer of a domain.
Imported import_with(const calm_domain &domain, const std::vector<std::string> &sources,
                     const std::vector<calm_value> &options = {});

Imported import_sources(const std::vector<std::string> &sources,
                        const std::vector<calm_value> &options = {});

/// Writes `database` as NAME.dict.dz and NAME.index and imports it.
Imported import_database(const Database &database, std::string_view name,
                         const std::vector<calm_value> &options = {});

/// One GCIDE record alone.
Imported import_gcide(std::string_view record, const std::vector<calm_value> &options = {});

}  // namespace calm::test
