#include "gcide_markup.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "gcide_letters.hpp"

namespace calm::dictionary::gcide {
namespace {

constexpr std::size_t npos = std::string_view::npos;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }

std::string_view trim(std::string_view s) {
  const std::size_t first = s.find_first_not_of(' ');
  return first == npos ? std::string_view() : s.substr(first, s.find_last_not_of(' ') + 1 - first);
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N> &list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr std::array<std::string_view, 14> kSources = {
    "Webster", "WordNet", "PJC",  "AS",   "RDH", "RP", "GG",
    "Century", "MW10",    "MI11", "RHUD", "WE1", "PC", "CM"};
constexpr std::array<std::string_view, 5> kSourceWords = {"Suppl", "Dict", "sense", "and", "&"};

// "1913 Webster + WordNet 1.5": names of sources, numbers and a few words.
bool is_source(std::string_view inside) {
  bool named = false;
  while (!inside.empty()) {
    const std::size_t end = std::min(inside.find_first_of(" +,"), inside.size());
    std::string_view word = inside.substr(0, end);
    inside.remove_prefix(std::min(end + 1, inside.size()));
    while (!word.empty() && word.back() == '.') {
      word.remove_suffix(1);
    }
    const bool number =
        std::all_of(word.begin(), word.end(), [](char c) { return is_digit(c) || c == '.'; });
    const bool source = contains(kSources, word);
    named = named || source;
    if (!source && !number && !contains(kSourceWords, word)) {
      return false;
    }
  }
  return named;
}

// Position after the source mark at `at`, or npos.
std::size_t source_end(std::string_view text, std::size_t at) {
  const std::size_t close = text.find_first_of("[]", at + 1);
  if (close == npos || text[close] != ']' || !is_source(text.substr(at + 1, close - at - 1))) {
    return npos;
  }
  return close + 1;
}

bool ends_a_sentence(char c) { return std::string_view(".?!)]}\"':;").find(c) != npos; }

// Without a source mark at the end that lost one of its brackets: "PJC]", "[WordNet 1.5".
std::string_view without_torn_source(std::string_view text) {
  const std::size_t bracket = text.find_last_of("[]");
  if (bracket == npos) {
    return text;
  }
  if (text[bracket] == '[') {
    return is_source(text.substr(bracket + 1)) ? trim(text.substr(0, bracket)) : text;
  }
  if (bracket + 1 != text.size() || text.ends_with("[]")) {
    return text;
  }
  constexpr int kMostWords = 5;
  std::string_view kept = text;
  std::size_t from = bracket;
  for (int words = 0; words < kMostWords && from > 0; ++words) {
    const std::size_t blank = text.rfind(' ', from - 1);
    if (blank == npos || text.substr(blank, bracket - blank).find('[') != npos) {
      break;
    }
    if (is_source(text.substr(blank + 1, bracket - blank - 1))) {
      kept = trim(text.substr(0, blank));
    }
    from = blank;
  }
  return kept;
}

// Beginning of an attribution at or after `from`: "--" before a name.
std::size_t find_attribution(std::string_view text, std::size_t from) {
  for (std::size_t at = text.find("--", from); at != npos; at = text.find("--", at + 1)) {
    const bool apart = at == 0 || text[at - 1] == ' ' || text[at - 1] == '"' ||
                       text[at - 1] == '.' || text[at - 1] == ']';
    const char next = at + 2 < text.size() ? text[at + 2] : ' ';
    if (apart && (is_upper(next) || is_digit(next) || next == '(' || next == '[')) {
      return at;
    }
  }
  return npos;
}

// "(b) " at `at`
bool is_sub_sense(std::string_view text, std::size_t at) {
  return at + 3 < text.size() && text[at] == '(' && is_lower(text[at + 1]) && text[at + 2] == ')' &&
         text[at + 3] == ' ';
}

// Whether the text goes on at `at` after an attribution.
bool ends_attribution(std::string_view text, std::size_t at) {
  const bool sentence = text[at - 1] == ' ' && text[at - 2] == '.';
  return is_sub_sense(text, at) || (sentence && (text[at] == '"' || text[at] == '['));
}

constexpr std::array<std::string_view, 41> kPartsOfSpeech = {
    "n",      "a",         "v",      "t",      "i",      "adv", "adj",  "pl",    "prop",
    "prep",   "conj",      "pron",   "p",      "interj", "imp", "pr",   "vb",    "sing",
    "pref",   "suff",      "obs",    "prefix", "masc",   "fem", "m",    "f",     "pred",
    "indef",  "poss",      "pres",   "pret",   "def",    "inf", "refl", "indic", "superl",
    "compar", "auxiliary", "impers", "prenom", "suffix"};

}  // namespace

bool is_left_behind(std::string_view tail) {
  return !tail.empty() && !ends_a_sentence(tail.back()) && is_alnum(tail.front()) &&
         tail.size() <= 60 && std::count(tail.begin(), tail.end(), ' ') < 4;
}

std::size_t matching_end(std::string_view text, std::size_t open, char left, char right) {
  std::size_t depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == left) {
      ++depth;
    } else if (text[i] == right && --depth == 0) {
      return i + 1;
    }
  }
  return npos;
}

std::string remove_sources(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = text[i] == '[' ? source_end(text, i) : npos;
    if (end == npos) {
      out += text[i++];
    } else {
      out += ' ';
      i = end;
    }
  }
  return std::string(without_torn_source(trim(out)));
}

std::string remove_sources_at_end(std::string_view text) {
  text = trim(text);
  std::size_t last = npos;
  for (std::size_t at = text.find('['); at != npos; at = text.find('[', at + 1)) {
    const std::size_t end = source_end(text, at);
    last = end == npos ? last : end;
  }
  if (last == npos) {
    const std::size_t blank = text.find_last_of(".)]\"'");
    last = blank == npos ? npos : blank + 1;
  }
  if (last != npos && last < text.size() && text[last] == ' ' &&
      is_left_behind(trim(text.substr(last)))) {
    text = text.substr(0, last);
  }
  return remove_sources(text);
}

std::size_t part_of_speech(std::string_view text) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_lower(text[end])) {
      ++end;
    }
    if (end == i || end == text.size() || text[end] != '.' ||
        !contains(kPartsOfSpeech, text.substr(i, end - i))) {
      break;
    }
    length = end + 1;
    i = length;
    while (i < text.size() && (text[i] == ' ' || text[i] == '&')) {
      ++i;
    }
  }
  return length;
}

std::string remove_run_ons(std::string_view text) {
  std::string out(text);
  std::size_t from = 0;
  for (;;) {
    const std::size_t dash = out.find("--", from);
    if (dash == std::string::npos) {
      return std::string(trim(out));
    }
    from = dash + 2;
    const std::size_t open = out.find_first_not_of(' ', dash + 2);
    const std::size_t close =
        open != std::string::npos && out[open] == '{' ? out.find('}', open) : std::string::npos;
    if (close == std::string::npos) {
      continue;
    }
    std::size_t end = out.find_first_not_of(" ,", close + 1);
    if (end != std::string::npos && out[end] == '(') {
      constexpr std::size_t kLongest = 200;
      const std::size_t after =
          matching_end(std::string_view(out).substr(end, kLongest), 0, '(', ')');
      end = after == npos ? std::string::npos : out.find_first_not_of(" ,", end + after);
    }
    const std::size_t pos =
        end == std::string::npos ? 0 : part_of_speech(std::string_view(out).substr(end));
    if (pos > 0) {
      out.erase(dash, end + pos - dash);
      from = dash;
    }
  }
}

std::string remove_wordnet_links(std::string_view text) {
  std::string out(trim(text));
  const std::size_t narrower = out.find("[Narrower terms");
  const std::size_t after = narrower == npos ? npos : matching_end(out, narrower, '[', ']');
  if (after != npos) {
    out.erase(narrower, after - narrower);
    out = trim(out);
  }
  std::string_view kept = out;
  while (kept.ends_with('}')) {
    const std::size_t open = kept.rfind('{');
    if (open == npos) {
      break;
    }
    kept = trim(kept.substr(0, open));
    while (kept.ends_with(',') || kept.ends_with(' ')) {
      kept.remove_suffix(1);
    }
  }
  // "the opposite of {hot}" needs its link; a sentence does not.
  static constexpr std::array<std::string_view, 14> kLeads = {
      "of",   "to", "see", "See", "as", "with",   "from",
      "than", "or", "and", "the", "a",  "called", "by"};
  const std::string_view word = kept.substr(kept.rfind(' ') + 1);
  constexpr std::size_t kShortest = 12;
  return kept.size() < kShortest || contains(kLeads, word) ? out : std::string(kept);
}

bool says_something(std::string_view text) {
  for (const std::string_view lead : {"Syn:", "Note:", "Usage:", "Syn."}) {
    if (text.starts_with(lead)) {
      text = trim(text.substr(lead.size()));
    }
  }
  while (text.starts_with('[') || text.starts_with('(')) {
    const std::size_t end = matching_end(text, 0, text[0], text[0] == '[' ? ']' : ')');
    text = end == npos ? text.substr(1) : trim(text.substr(end));
  }
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return is_lower(c) || is_upper(c) || (c & 0x80) != 0; });
}

std::string remove_attributions(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string out;
  std::size_t kept = 0;  // everything before is in `out` or gone
  for (std::size_t at = find_attribution(text, 0); at != npos;) {
    std::size_t end = at + 2;
    while (end < text.size() && !ends_attribution(text, end) && end - at <= kLongest) {
      ++end;
    }
    if (end - at > kLongest) {
      at = find_attribution(text, at + 2);
      continue;
    }
    out += trim(text.substr(kept, at - kept));
    out += ' ';
    kept = end;
    at = find_attribution(text, end);
  }
  out += text.substr(kept);
  return std::string(trim(out));
}

Quotation split_quotation(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  std::size_t at = npos;
  for (std::size_t next = find_attribution(text, 0); next != npos;
       next = find_attribution(text, next + 2)) {
    at = next;
  }
  if (at == npos) {
    const std::size_t dash = text.rfind(" -- ");
    const std::size_t name = dash == npos ? npos : dash + 4;
    if (name != npos && (is_upper(text[name]) || is_digit(text[name]))) {
      at = dash + 1;
    }
  }
  if (at == npos || text.size() - at > kLongest) {
    return {std::string(trim(text)), {}};
  }
  return {std::string(trim(text.substr(0, at))), std::string(trim(text.substr(at + 2)))};
}

std::string expand(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '[') {
      constexpr std::size_t kLongestName = 10;
      const std::string_view ahead = text.substr(i + 1, kLongestName + 1);
      const std::size_t end = ahead.find(']');
      const std::string_view name = end == npos ? std::string_view() : ahead.substr(0, end);
      const std::size_t close = i + 1 + end;
      if (const char *letter = find_letter(name); letter != nullptr) {
        out += letter;
        i = close;
        continue;
      }
      // {waist[3]} means the third entry of that name.
      if (name.size() == 1 && is_digit(name[0]) && !out.empty() && is_alnum(out.back())) {
        i = close;
        continue;
      }
    }
    if (c != '{' && c != '}') {
      out += c;
    }
  }
  return out;
}

}  // namespace calm::dictionary::gcide
