#include "dictd.hpp"

#include <algorithm>
#include <array>
#include <calm/cpp/error.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include <common/gunzip.hpp>

namespace calm::dictionary {
namespace {

// Ten times the largest database in Debian; what a hostile file may make us allocate.
constexpr std::uint64_t kMaxText = std::uint64_t{1} << 29;
constexpr std::uint64_t kMaxIndex = std::uint64_t{1} << 26;
// Most digits an offset within kMaxText can have.
constexpr std::size_t kMaxDigits = 6;

constexpr std::size_t kMaxTitle = 1024;

constexpr std::string_view kIndex = ".index";
constexpr std::string_view kCompressed = ".dict.dz";
constexpr std::string_view kPlain = ".dict";

bool is_there(const std::string &path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string without_suffix(const std::string &source) {
  for (const std::string_view suffix : {kIndex, kCompressed, kPlain}) {
    if (source.ends_with(suffix)) {
      return source.substr(0, source.size() - suffix.size());
    }
  }
  return source;
}

constexpr std::uint8_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> make_digits() {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 256> values{};
  for (std::uint8_t &value : values) {
    value = kNoDigit;
  }
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}
constexpr std::array<std::uint8_t, 256> kDigitValues = make_digits();

// dictd's base 64: most significant digit first. False when `text` is no such number.
bool parse_number(std::string_view text, std::uint64_t &out) {
  const std::size_t first = text.find_first_not_of('A');
  if (text.empty() || (first != std::string_view::npos && text.size() - first > kMaxDigits)) {
    return false;
  }
  out = 0;
  for (const char c : text) {
    const std::uint8_t value = kDigitValues[static_cast<unsigned char>(c)];
    if (value == kNoDigit) {
      return false;
    }
    out = out * 64 + value;
  }
  return true;
}

std::string_view cut(std::string_view &rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view piece = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return piece;
}

// "00-database-short" and, from older tools, "00databaseshort".
bool is_about_the_database(std::string_view headword) {
  return headword.starts_with("00-database") || headword.starts_with("00database");
}

// Its full name, in a record of its own.
bool is_title(const Record &record) {
  const auto names = [](std::string_view headword) {
    return headword == "00-database-short" || headword == "00databaseshort";
  };
  return std::any_of(record.headwords.begin(), record.headwords.end(), names);
}

[[noreturn]] void refuse_line(const std::string &path, std::uint64_t number,
                              const std::string &what) {
  throw Error(CALM_CORRUPT_DATA, path + ": line " + std::to_string(number) + ": " + what);
}

std::string describe_range(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
  return "expected a record within the text of " + std::to_string(size) + " bytes, found offset " +
         std::to_string(offset) + ", length " + std::to_string(length);
}

struct IndexLine {
  std::string_view headword;
  std::uint64_t offset, length;
};

}  // namespace

DatabasePaths find_database(const std::string &source) {
  DatabasePaths paths;
  paths.base = without_suffix(source);
  paths.index = paths.base + std::string(kIndex);
  if (source.ends_with(kCompressed) || source.ends_with(kPlain)) {
    paths.text = source;
  } else {
    paths.text = paths.base + std::string(kCompressed);
    if (!is_there(paths.text) && is_there(paths.base + std::string(kPlain))) {
      paths.text = paths.base + std::string(kPlain);
    }
  }
  const std::string missing = !is_there(paths.index) ? paths.index : paths.text;
  if (!is_there(missing)) {
    throw Error(CALM_IO, source + ": expected a dictd database, found no " + missing);
  }
  return paths;
}

Database::Database(const DatabasePaths &paths)
    : Database(std::filesystem::path(paths.base).filename().string(),
               paths.text.ends_with(kCompressed) ? sources::read_gzip(paths.text, kMaxText)
                                                 : sources::read_file(paths.text, kMaxText),
               sources::read_file(paths.index, kMaxIndex), paths.index) {}

Database::Database(std::string name, std::string text, std::string index,
                   const std::string &index_path)
    : name_(std::move(name)), text_(std::move(text)), index_(std::move(index)) {
  read_index(index_path);
}

void Database::read_index(const std::string &path) {
  std::vector<IndexLine> lines;
  std::string_view rest = index_;
  for (std::uint64_t number = 1; !rest.empty(); ++number) {
    std::string_view line = cut(rest, '\n');
    const std::string_view headword = cut(line, '\t');
    const std::string_view offset_text = cut(line, '\t');
    const std::string_view length_text = cut(line, '\t');  // a fourth column may follow
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    if (!parse_number(offset_text, offset) || !parse_number(length_text, length)) {
      refuse_line(path, number, "expected headword, tab, offset, tab, length in base 64");
    }
    if (offset > text_.size() || length > text_.size() - offset) {
      refuse_line(path, number, describe_range(offset, length, text_.size()));
    }
    lines.push_back({headword, offset, length});
  }
  if (lines.empty()) {
    throw Error(CALM_CORRUPT_DATA, path + ": expected at least one line, found none");
  }
  std::stable_sort(lines.begin(), lines.end(), [](const IndexLine &a, const IndexLine &b) {
    return std::pair(a.offset, a.length) < std::pair(b.offset, b.length);
  });
  for (std::size_t i = 0; i < lines.size();) {
    Record record{lines[i].offset, lines[i].length, {}};
    bool about = false;
    for (; i < lines.size() && lines[i].offset == record.offset && lines[i].length == record.length;
         ++i) {
      about = about || is_about_the_database(lines[i].headword);
      record.headwords.push_back(lines[i].headword);
    }
    if (!about) {
      records_.push_back(std::move(record));
    } else if (about_.empty() && is_title(record)) {
      about_ = this->text(record).substr(0, kMaxTitle);
    }
  }
}

}  // namespace calm::dictionary
