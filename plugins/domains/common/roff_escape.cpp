#include <common/roff_escape.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace calm::sources::roff {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kMaxString = 256;
constexpr std::size_t kMaxStrings = 256;
constexpr std::size_t kMaxArguments = 64;
constexpr int kMaxDepth = 3;

struct Character {
  std::string_view name, text;
};
// groff_char(7), what manual pages use of it. Sorted by hand: looked up one by one.
constexpr Character kCharacters[] = {
    {"aq", "'"},      {"oq", "\u2018"}, {"cq", "\u2019"}, {"lq", "\u201c"}, {"rq", "\u201d"},
    {"dq", "\""},     {"ga", "`"},      {"ha", "^"},      {"ti", "~"},      {"rs", "\\"},
    {"sl", "/"},      {"ba", "|"},      {"br", "|"},      {"bv", "|"},      {"at", "@"},
    {"sh", "#"},      {"Do", "$"},      {"lB", "["},      {"rB", "]"},      {"lC", "{"},
    {"rC", "}"},      {"la", "<"},      {"ra", ">"},      {"hy", "-"},      {"mi", "-"},
    {"em", "--"},     {"en", "-"},      {"bu", "*"},      {"ci", "o"},      {"co", "(c)"},
    {"rg", "(R)"},    {"tm", "(TM)"},   {"de", "\u00b0"}, {"mu", "x"},      {"di", "/"},
    {"+-", "+-"},     {"<=", "<="},     {">=", ">="},     {"!=", "!="},     {"==", "=="},
    {"->", "->"},     {"<-", "<-"},     {"if", "inf"},    {"eq", "="},      {"pl", "+"},
    {"ss", "\u00df"}, {":a", "\u00e4"}, {":o", "\u00f6"}, {":u", "\u00fc"}, {":A", "\u00c4"},
    {":O", "\u00d6"}, {":U", "\u00dc"}, {"'e", "\u00e9"}, {"`e", "\u00e8"}, {"'a", "\u00e1"},
    {"'o", "\u00f3"}, {"'i", "\u00ed"}, {"'u", "\u00fa"}, {",c", "\u00e7"}, {"~n", "\u00f1"},
    {"/o", "\u00f8"}, {"oa", "\u00e5"}, {"12", "1/2"},    {"14", "1/4"},    {"sc", "\u00a7"},
    {"ps", "\u00b6"}, {"ua", "^"},      {"da", "v"},      {"Fo", "\u00ab"}, {"Fc", "\u00bb"},
    {"*a", "\u03b1"}, {"*b", "\u03b2"}, {"*m", "\u03bc"}, {"*p", "\u03c0"}, {"Of", "a"},
    {"ul", "_"},      {"ru", "_"},      {"no", "not"},    {"fm", "'"},      {"pc", "."},
    {"lh", "<="},     {"rh", "=>"},     {"aa", "'"},      {"Eu", "\u20ac"}, {"Po", "\u00a3"},
};

void append_utf8(std::string &out, std::uint32_t c) {
  const auto put = [&](std::uint32_t bits) { out += static_cast<char>(bits & 0xff); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

// \[u2019], \[char39] and the names above.
void append_character(std::string &out, std::string_view name) {
  for (const Character &known : kCharacters) {
    if (known.name == name) {
      out += known.text;
      return;
    }
  }
  const bool hexadecimal = name.size() >= 5 && name.size() <= 6 && name[0] == 'u';
  std::uint32_t value = 0;
  for (const char c : hexadecimal ? name.substr(1) : std::string_view()) {
    const std::size_t digit = std::string_view("0123456789ABCDEF").find(c);
    if (digit == npos) {
      return;
    }
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  if (value >= 0x20 && !surrogate && !(value >= 0x7f && value < 0xa0)) {
    append_utf8(out, value);
  }
}

// A name after an escape: one character, "(xx" or "[...]". Moves `at` past it.
std::string_view take_name(std::string_view text, std::size_t &at) {
  if (at >= text.size()) {
    return {};
  }
  if (text[at] == '(') {
    const std::string_view name = text.substr(at + 1, 2);
    at = std::min(at + 3, text.size());
    return name;
  }
  if (text[at] == '[') {
    const std::size_t close = std::min(text.find(']', at), text.size());
    const std::string_view name = text.substr(at + 1, close - at - 1);
    at = std::min(close + 1, text.size());
    return name;
  }
  return text.substr(at++, 1);
}

// 'argument' with any delimiter. Moves `at` past it.
void skip_argument(std::string_view text, std::size_t &at) {
  if (at < text.size()) {
    const std::size_t close = text.find(text[at], at + 1);
    at = close == npos ? text.size() : close + 1;
  }
}

void skip_size(std::string_view text, std::size_t &at) {
  if (at < text.size() && (text[at] == '[' || text[at] == '(')) {
    take_name(text, at);
    return;
  }
  if (at < text.size() && text[at] == '\'') {
    skip_argument(text, at);
    return;
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    ++at;
  }
  if (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    ++at;
  }
}

}  // namespace

void Escapes::define(std::string_view name, std::string_view value) {
  if (strings_.size() < kMaxStrings) {
    strings_[std::string(name)] = value.substr(0, kMaxString);
  }
}

std::string Escapes::expand(std::string_view text, int depth) const {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    if (++at == text.size()) {
      break;
    }
    const char escape = text[at++];
    switch (escape) {
      case '-':
      case '.':
      case '\'':
      case '`':
      case ' ':
        out += escape;
        break;
      case 'e':
      case '\\':
        out += '\\';
        break;
      case '~':
      case '0':
        out += ' ';
        break;
      case 't':
        out += '\t';
        break;
      case '(':
      case '[':
        append_character(out, take_name(text, --at));
        break;
      case 'C': {
        const std::size_t start = at + 1;
        skip_argument(text, at);
        append_character(out, start < at ? text.substr(start, at - start - 1) : std::string_view());
        break;
      }
      case '*': {
        const auto found = strings_.find(take_name(text, at));
        if (found != strings_.end() && depth < kMaxDepth) {
          out += expand(found->second, depth + 1);
        }
        break;
      }
      case 'f':
      case 'F':
      case 'm':
      case 'M':
      case 'n':
      case 'g':
      case 'k':
      case 'Y':
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
          ++at;
        }
        take_name(text, at);
        break;
      case 's':
        skip_size(text, at);
        break;
      case 'h':
      case 'v':
      case 'w':
      case 'l':
      case 'L':
      case 'D':
      case 'X':
      case 'Z':
      case 'A':
      case 'b':
      case 'o':
      case 'N':
      case 'S':
      case 'H':
      case 'x':
      case 'R':
      case 'B':
        skip_argument(text, at);
        break;
      default:  // \& \| \^ \/ \, \% \: \c \d \u \z \{ \} and what nobody uses
        break;
    }
  }
  return out;
}

std::string_view without_comment(std::string_view line) {
  for (std::size_t at = line.find('\\'); at != npos && at + 1 < line.size();
       at = line.find('\\', at + 2)) {
    if (line[at + 1] == '"' || line[at + 1] == '#') {
      return line.substr(0, at);
    }
  }
  return line;
}

std::vector<std::string> split_arguments(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size() && out.size() < kMaxArguments;) {
    if (text[at] == ' ' || text[at] == '\t') {
      ++at;
      continue;
    }
    std::string argument;
    if (text[at] == '"') {
      for (++at; at < text.size(); ++at) {
        if (text[at] == '"') {
          if (at + 1 == text.size() || text[at + 1] != '"') {
            break;
          }
          ++at;  // "" within quotes
        }
        argument += text[at];
      }
      at = std::min(at + 1, text.size());
    } else {
      while (at < text.size() && text[at] != ' ' && text[at] != '\t') {
        // An escaped blank does not end an argument.
        if (text[at] == '\\' && at + 1 < text.size()) {
          argument += text[at++];
        }
        argument += text[at++];
      }
    }
    out.push_back(std::move(argument));
  }
  return out;
}

}  // namespace calm::sources::roff
