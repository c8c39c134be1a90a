#include "core/train/config_yaml.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"

namespace calm::train {

namespace {

constexpr std::array<std::string_view, 9> kTrue = {"true", "True", "TRUE", "yes", "Yes",
                                                   "YES",  "on",   "On",   "ON"};
constexpr std::array<std::string_view, 9> kFalse = {"false", "False", "FALSE", "no", "No",
                                                    "NO",    "off",   "Off",   "OFF"};

std::string shown(std::string_view text) { return text::printable(text, text::LineFeeds::kEscape); }

template <std::size_t n>
bool one_of(const std::array<std::string_view, n> &words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

template <class T>
bool read_all(std::string_view text, T *out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return code == std::errc() && end == text.data() + text.size();
}

// Of the forms that all versions of YAML read alike: 012 and 0x10 stay texts.
bool read_whole(std::string_view text, std::int64_t *out) {
  const std::string_view digits = text.substr(!text.empty() && text[0] == '-' ? 1 : 0);
  return read_all(text, out) && (digits.size() == 1 || digits[0] != '0');
}

bool read_real(std::string_view text, double *out) {
  return text.find_first_not_of("0123456789.eE+-") == std::string_view::npos &&
         (text.size() < 2 || text[0] != '0' || text.find_first_of(".eE") == 1) &&
         read_all(text, out);
}

OwnedValue plain_value(const std::string &name, const std::string &text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const std::string_view unsigned_text = std::string_view(text).substr(plus ? 1 : 0);
  std::int64_t whole = 0;
  double real = 0;
  if (one_of(kTrue, text) || one_of(kFalse, text)) {
    return {name, CALM_VALUE_BOOL, one_of(kTrue, text) ? 1 : 0, 0, {}};
  }
  if (read_whole(unsigned_text, &whole)) {
    return {name, CALM_VALUE_I64, whole, 0, {}};
  }
  if (read_real(unsigned_text, &real)) {
    return {name, CALM_VALUE_F64, 0, real, {}};
  }
  return {name, CALM_VALUE_STR, 0, 0, text};
}

// Takes the parser's events one by one: what is not wanted ends the parse where it stands, before
// anything is built of it.
class Reader : public YAML::EventHandler {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}
  std::vector<Setting> take() { return std::move(settings_); }

  void OnDocumentStart(const YAML::Mark &) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark &mark, YAML::anchor_t) override {
    if (depth_ == 0) {
      return;  // an empty file
    }
    if (!key_) {
      refuse(mark, "expected the name of a key, found nothing");
    }
    // "continual:" with nothing under it is an empty section.
    if (depth_ == 2) {
      refuse(mark, shown(*key_) + ": expected a number, a text, true or false, found nothing");
    }
    key_.reset();
  }

  void OnAlias(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) {
      refuse(mark, "expected an alias of a number or a text, found one of something else");
    }
    const Scalar scalar = known->second;
    take_scalar(mark, scalar);
  }

  void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                const std::string &text) override {
    // "?" is a plain scalar, "!" a quoted one; others were asked for by name.
    if (tag != "?" && tag != "!" && !tag.empty()) {
      refuse(mark, "expected no tag, found " + shown(tag));
    }
    const Scalar scalar{text, tag == "?" || tag.empty()};
    if (anchor != 0) {
      anchors_[anchor] = scalar;
    }
    take_scalar(mark, scalar);
  }

  void OnSequenceStart(const YAML::Mark &mark, const std::string &, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    refuse(mark, "expected a number, a text, true or false, found a list");
  }
  void OnSequenceEnd() override {}

  void OnMapStart(const YAML::Mark &mark, const std::string &, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    if (depth_ == 2 || (depth_ == 1 && !key_)) {
      refuse(mark, "expected a number, a text, true or false, found a section");
    }
    ++depth_;
    if (depth_ == 2) {
      section_ = std::exchange(key_, std::nullopt).value_or("");
    }
  }
  void OnMapEnd() override {
    --depth_;
    section_.clear();
  }

 private:
  struct Scalar {
    std::string text;
    bool plain;
  };

  [[noreturn]] void refuse(const YAML::Mark &mark, const std::string &what) const {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("{}:{}: {}", path_, mark.line + 1, what));
  }

  void take_scalar(const YAML::Mark &mark, const Scalar &scalar) {
    if (depth_ == 0) {
      refuse(mark, "expected keys and sections, found " + shown(scalar.text));
    }
    if (!key_) {
      if (scalar.text.empty()) {
        refuse(mark, "expected the name of a key, found an empty text");
      }
      if (!keys_.insert({section_, scalar.text}).second) {
        refuse(mark, shown(scalar.text) + ": expected each key once, found it again");
      }
      key_ = scalar.text;
      return;
    }
    const bool as_it_looks = scalar.plain && !scalar.text.empty();
    settings_.push_back({section_,
                         as_it_looks ? plain_value(*key_, scalar.text)
                                     : OwnedValue{*key_, CALM_VALUE_STR, 0, 0, scalar.text},
                         fmt::format("{}:{}", path_, mark.line + 1)});
    key_.reset();
  }

  std::string path_;
  std::vector<Setting> settings_;
  std::map<YAML::anchor_t, Scalar> anchors_;
  std::set<std::pair<std::string, std::string>> keys_;
  std::string section_;
  std::optional<std::string> key_;  // read, and waiting for its value
  int depth_ = 0;                   // 1: at the top, 2: in a section
};

}  // namespace

std::vector<Setting> parse_yaml_settings(std::string_view text, const std::string &path) {
  std::istringstream stream{std::string(text)};
  Reader reader(path);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(reader);
    Reader rest(path);
    if (parser.HandleNextDocument(rest)) {
      throw Error(CALM_INVALID_ARGUMENT, path + ": expected one YAML document, found more");
    }
  } catch (const YAML::Exception &e) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}:{}: not YAML: {}", path, e.mark.line + 1, shown(e.msg)));
  }
  return reader.take();
}

}  // namespace calm::train
