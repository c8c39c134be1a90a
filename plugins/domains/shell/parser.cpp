#include "parser.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace calm::shell {
namespace {

constexpr int kMaxDepth = 24;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_meta(char c) { return std::string_view(" \t\n;&|()<>").find(c) != std::string_view::npos; }
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

int digit(char c, int base) {
  int value = 99;
  if (c >= '0' && c <= '9') {
    value = c - '0';
  } else if (c >= 'a' && c <= 'f') {
    value = c - 'a' + 10;
  } else if (c >= 'A' && c <= 'F') {
    value = c - 'A' + 10;
  }
  return value < base ? value : -1;
}

class Parser {
 public:
  Parser(const Text &line, int depth) : line_(line), depth_(depth) {}

  bool deep() const { return deep_; }

  /// Up to an unquoted `closer`, which is taken; 0: up to the end.
  std::vector<Command> commands(char closer) {
    std::vector<Command> list;
    Command now;
    const auto finish = [&](bool pipe) {
      if (!now.words.empty() || !now.targets.empty()) {
        list.push_back(std::move(now));
      }
      now = Command();
      now.piped = pipe;
    };
    while (!done() && (closer == 0 || peek() != closer)) {
      const char c = peek();
      if (is_blank(c)) {
        ++at_;
      } else if (c == '>' || c == '<' || (c == '&' && next_is('>'))) {
        redirection(now);
      } else if (c == ';' || c == '&' || c == '\n' || c == ')') {
        ++at_;
        finish(false);
      } else if (c == '|') {
        ++at_;
        const bool either = take('|');
        take('&');
        finish(!either);
      } else if (c == '(') {
        ++at_;
        const bool pipe = now.piped;
        finish(false);
        for (Command &inner : nested([this] { return commands(')'); })) {
          inner.piped = inner.piped || pipe;
          list.push_back(std::move(inner));
        }
      } else {
        add_word(now);
      }
    }
    if (closer != 0) {
      take(closer);
    }
    finish(false);
    return list;
  }

 private:
  bool done() const { return at_ >= line_.chars.size(); }
  char peek() const { return line_.chars[at_]; }
  bool next_is(char c) const { return at_ + 1 < line_.chars.size() && line_.chars[at_ + 1] == c; }
  bool starts(std::string_view text) const {
    return std::string_view(line_.chars).substr(at_).starts_with(text);
  }
  bool take(char c) {
    if (done() || peek() != c) {
      return false;
    }
    ++at_;
    return true;
  }
  /// Moves one character of the line into a word.
  void move(Word &word) {
    word.push(peek(), line_.ends[at_]);
    ++at_;
  }
  template <class Read>
  std::vector<Command> nested(Read read) {
    if (depth_ >= kMaxDepth) {
      deep_ = true;
      at_ = line_.chars.size();
      return {};
    }
    ++depth_;
    std::vector<Command> list = read();
    --depth_;
    return list;
  }

  // `>`, `>>`, `>|`, `&>`, `>&`: what follows is written to. `<`, `<<`, `<<<`: a plain word.
  void redirection(Command &now) {
    if (starts("<(") || starts(">(")) {
      add_word(now);
      return;
    }
    bool writes = false;
    while (!done() && (peek() == '>' || peek() == '<' || peek() == '&' || peek() == '|')) {
      if ((starts("<(") || starts(">(")) && writes) {
        break;
      }
      writes = writes || peek() == '>';
      ++at_;
    }
    while (!done() && is_blank(peek())) {
      ++at_;
    }
    Word target = word();
    if (target.chars.empty()) {
      return;
    }
    (writes ? now.targets : now.words).push_back(std::move(target));
  }

  void add_word(Command &now) {
    const bool braced = peek() == '{';
    Word one = word();
    const bool descriptor =
        !done() && (peek() == '>' || peek() == '<') && !one.chars.empty() &&
        std::all_of(one.chars.begin(), one.chars.end(), [](char c) { return digit(c, 10) >= 0; });
    if (descriptor) {
      return;
    }
    // {rm,-rf,/} expands to words of their own.
    if (braced && one.chars.size() > 2 && one.chars.back() == '}' &&
        one.chars.find(',') != std::string::npos) {
      std::size_t begin = 1;
      for (std::size_t i = 1; i < one.chars.size(); ++i) {
        if (one.chars[i] == ',' || i + 1 == one.chars.size()) {
          Word piece;
          static_cast<Text &>(piece) = one.part(begin, i - begin);
          now.words.push_back(std::move(piece));
          begin = i + 1;
        }
      }
      return;
    }
    now.words.push_back(std::move(one));
  }

  Word word() {
    Word out;
    while (!done() && !(is_meta(peek()) && !starts("<(") && !starts(">("))) {
      const char c = peek();
      if (c == '\\') {
        ++at_;
        if (!done() && peek() != '\n') {
          move(out);
        } else {
          take('\n');
        }
      } else if (c == '\'') {
        ++at_;
        while (!done() && peek() != '\'') {
          move(out);
        }
        take('\'');
      } else if (c == '"') {
        ++at_;
        double_quoted(out);
      } else if (c == '`') {
        backquoted(out);
      } else if (c == '<' || c == '>') {
        if (!out.chars.empty()) {
          break;
        }
        move(out);
        substitution(out);
      } else if (c == '$') {
        if (field_separator()) {
          break;
        }
        dollar(out);
      } else {
        move(out);
      }
    }
    return out;
  }

  // $IFS outside of quotes is white space. Leaves it behind.
  bool field_separator() {
    for (const std::string_view form : {std::string_view("${IFS}"), std::string_view("$IFS")}) {
      const std::size_t after = at_ + form.size();
      if (starts(form) &&
          (form.back() == '}' || after >= line_.chars.size() || !is_name(line_.chars[after]))) {
        at_ = after;
        return true;
      }
    }
    return false;
  }

  void double_quoted(Word &out) {
    while (!done() && peek() != '"') {
      if (peek() == '\\' && at_ + 1 < line_.chars.size() &&
          std::string_view("$`\"\\").find(line_.chars[at_ + 1]) != std::string_view::npos) {
        ++at_;
        move(out);
      } else if (peek() == '`') {
        backquoted(out);
      } else if (starts("$(")) {
        move(out);
        substitution(out);
      } else {
        move(out);
      }
    }
    take('"');
  }

  // At the parenthesis of $( <( or >(.
  void substitution(Word &out) {
    move(out);
    std::vector<Command> inner = nested([this] { return commands(')'); });
    std::move(inner.begin(), inner.end(), std::back_inserter(out.inside));
    out.push(')', at_ == 0 ? 0 : line_.ends[at_ - 1]);
  }

  void backquoted(Word &out) {
    move(out);
    Text inner;
    while (!done() && peek() != '`') {
      if (peek() == '\\' && at_ + 1 < line_.chars.size()) {
        ++at_;
      }
      inner.push(peek(), line_.ends[at_]);
      ++at_;
    }
    std::vector<Command> list = nested([&] {
      Parser parser(inner, depth_);
      std::vector<Command> all = parser.commands(0);
      deep_ = deep_ || parser.deep_;
      return all;
    });
    std::move(list.begin(), list.end(), std::back_inserter(out.inside));
    if (!done()) {
      move(out);
    }
  }

  void dollar(Word &out) {
    if (next_is('(')) {
      move(out);
      substitution(out);
    } else if (next_is('\'')) {
      at_ += 2;
      escaped_quoted(out);
    } else if (next_is('"')) {
      ++at_;
    } else if (next_is('{')) {
      while (!done() && peek() != '}') {
        move(out);
      }
      if (!done()) {
        move(out);
      }
    } else {
      move(out);
    }
  }

  // $'...': \x72, \162 and the letters.
  void escaped_quoted(Word &out) {
    while (!done() && peek() != '\'') {
      if (peek() != '\\' || at_ + 1 >= line_.chars.size()) {
        move(out);
        continue;
      }
      ++at_;
      const bool hex = peek() == 'x';
      const int base = hex ? 16 : 8;
      const std::size_t longest = hex ? 2 : 3;
      std::size_t from = at_ + (hex ? 1u : 0u);
      int value = 0;
      std::size_t count = 0;
      while (count < longest && from < line_.chars.size() && digit(line_.chars[from], base) >= 0) {
        value = value * base + digit(line_.chars[from], base);
        ++from;
        ++count;
      }
      if (count == 0) {
        move(out);
        continue;
      }
      at_ = from;
      out.push(static_cast<char>(static_cast<std::uint8_t>(value)), line_.ends[at_ - 1]);
    }
    take('\'');
  }

  const Text &line_;
  std::size_t at_ = 0;
  int depth_;
  bool deep_ = false;
};

}  // namespace

Text Text::part(std::size_t begin, std::size_t count) const {
  Text out;
  out.chars = chars.substr(begin, count);
  const auto first = ends.begin() + static_cast<std::ptrdiff_t>(begin);
  out.ends.assign(first, first + static_cast<std::ptrdiff_t>(out.chars.size()));
  return out;
}

Text whole(std::string_view line) {
  Text out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    out.push(line[i], i + 1);
  }
  return out;
}

bool parse(const Text &line, std::vector<Command> &out) {
  Parser parser(line, 0);
  std::vector<Command> all = parser.commands(0);
  std::move(all.begin(), all.end(), std::back_inserter(out));
  return !parser.deep();
}

}  // namespace calm::shell
