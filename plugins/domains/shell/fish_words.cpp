#include "fish_words.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kMaxWords = 256;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class Splitter {
 public:
  Splitter(std::string_view line, const FishVariables &variables)
      : line_(line), variables_(variables) {}

  std::vector<FishWord> split() {
    while (at_ < line_.size() && words_.size() < kMaxWords) {
      const char c = line_[at_];
      if (c == ' ' || c == '\t') {
        end_word();
        ++at_;
      } else if (c == ';' || c == '|' || c == '&' || (c == '#' && !open_)) {
        break;
      } else {
        open_ = true;
        character(c);
      }
    }
    end_word();
    return std::move(words_);
  }

 private:
  void character(char c) {
    if (c == '\'' || c == '"') {
      ++at_;
      quoted(c);
    } else if (c == '\\' && at_ + 1 < line_.size()) {
      // \t and \n stay as they are written; other characters lose their meaning.
      const char next = line_[at_ + 1];
      if (next == 't' || next == 'n') {
        word_.text += '\\';
      }
      word_.text += next;
      at_ += 2;
    } else if (c == '(') {
      computed();
    } else if (c == '$') {
      ++at_;
      variable();
    } else {
      word_.text += c;
      ++at_;
    }
  }

  void quoted(char quote) {
    while (at_ < line_.size() && line_[at_] != quote) {
      const char c = line_[at_];
      if (c == '\\' && at_ + 1 < line_.size() &&
          (line_[at_ + 1] == quote || line_[at_ + 1] == '\\' || line_[at_ + 1] == '$')) {
        word_.text += line_[at_ + 1];
        at_ += 2;
      } else if (c == '$' && quote == '"') {
        ++at_;
        variable();
      } else {
        word_.text += c;
        ++at_;
      }
    }
    at_ = std::min(at_ + 1, line_.size());
  }

  void variable() {
    const std::size_t start = at_;
    while (at_ < line_.size() && is_name(line_[at_])) {
      ++at_;
    }
    const auto found = variables_.find(line_.substr(start, at_ - start));
    if (found == variables_.end() || (at_ < line_.size() && line_[at_] == '[')) {
      word_.dynamic = true;
      return;
    }
    for (std::size_t i = 0; i < found->second.size(); ++i) {
      word_.text += (i > 0 ? " " : "") + found->second[i];
    }
  }

  // A command substitution, to its bracket.
  void computed() {
    word_.dynamic = true;
    int depth = 0;
    do {
      depth += line_[at_] == '(' ? 1 : (line_[at_] == ')' ? -1 : 0);
      ++at_;
    } while (at_ < line_.size() && depth > 0);
  }

  void end_word() {
    if (open_) {
      words_.push_back(std::exchange(word_, {}));
    }
    open_ = false;
  }

  std::string_view line_;
  const FishVariables &variables_;
  std::vector<FishWord> words_;
  FishWord word_;
  std::size_t at_ = 0;
  bool open_ = false;
};

}  // namespace

std::vector<FishWord> split_fish(std::string_view line, const FishVariables &variables) {
  return Splitter(line, variables).split();
}

std::vector<std::string> split_values(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size() && out.size() < kMaxWords;) {
    if (text[at] == ' ' || text[at] == '\n' || text[at] == '\t') {
      ++at;
      continue;
    }
    std::string value;
    bool described = false;
    char quote = '\0';
    int depth = 0;  // within a command substitution
    for (; at < text.size(); ++at) {
      const char c = text[at];
      const bool tab = c == '\t' || (c == '\\' && text.substr(at + 1).starts_with("t"));
      if (quote != '\0') {
        quote = c == quote ? '\0' : quote;
      } else if (depth > 0 || c == '(') {
        depth += c == '(' ? 1 : (c == ')' ? -1 : 0);
      } else if (tab) {
        described = true;
      } else if (c == ' ' || c == '\n') {
        break;
      } else if (described && (c == '\'' || c == '"')) {
        quote = c;
      }
      if (!described) {
        value += c;
      }
    }
    if (!value.empty() && value.find_first_of("()$*?\"'\\<>|&;`") == npos) {
      out.push_back(std::move(value));
    }
  }
  return out;
}

}  // namespace calm::shell
