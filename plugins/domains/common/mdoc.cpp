#include <common/mdoc.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include <common/plain.hpp>

namespace calm::sources::roff {
namespace {

// How an inline macro wraps its words.
struct Style {
  std::string_view name, before, after;
  bool every_word = false;  // otherwise all of them at once
};
constexpr Style kStyles[] = {
    {"Fl", "-", "", true},
    {"Ar", "", ""},
    {"Cm", "", ""},
    {"Ic", "", ""},
    {"Nm", "", ""},
    {"Pa", "", ""},
    {"Ev", "", ""},
    {"Em", "", ""},
    {"Sy", "", ""},
    {"Li", "", ""},
    {"Va", "", ""},
    {"Vt", "", ""},
    {"Dv", "", ""},
    {"Er", "", ""},
    {"Fa", "", ""},
    {"Ft", "", ""},
    {"An", "", ""},
    {"Tn", "", ""},
    {"Ad", "", ""},
    {"No", "", ""},
    {"Mt", "", ""},
    {"Lk", "", ""},
    {"Ms", "", ""},
    {"Cd", "", ""},
    {"Sx", "", ""},
    {"Fx", "FreeBSD", ""},
    {"Nx", "NetBSD", ""},
    {"Ox", "OpenBSD", ""},
    {"Dx", "DragonFly", ""},
    {"Ux", "UNIX", ""},
    {"Bx", "BSD", ""},
    {"At", "AT&T UNIX", ""},
    {"St", "", ""},
    {"Bsx", "BSD/OS", ""},
    {"Dl", "", ""},
    {"D1", "", ""},
    {"In", "#include <", ">"},
};

// Enclosures: the rest of the line, or up to the closing macro.
struct Enclosure {
  std::string_view name, open, close;
  std::string_view opener, closer;
};
constexpr Enclosure kEnclosures[] = {
    {"Op", "[", "]", "Oo", "Oc"}, {"Dq", "\"", "\"", "Do", "Dc"},  {"Sq", "'", "'", "So", "Sc"},
    {"Ql", "'", "'", "", ""},     {"Qq", "\"", "\"", "Qo", "Qc"},  {"Pq", "(", ")", "Po", "Pc"},
    {"Bq", "[", "]", "Bo", "Bc"}, {"Brq", "{", "}", "Bro", "Brc"}, {"Aq", "<", ">", "Ao", "Ac"},
};

// Say nothing that text shows.
constexpr std::string_view kSilent[] = {"Bk", "Ek", "Bf", "Ef", "Rs", "Re", "Os",
                                        "Db", "Ud", "Xc", "Xo", "Bt", "Fd", "Tg"};

template <typename Table>
const auto *find_name(const Table &table, std::string_view name) {
  const auto *const found = std::find_if(std::begin(table), std::end(table),
                                         [&](const auto &row) { return row.name == name; });
  return found == std::end(table) ? nullptr : found;
}

bool is_macro(std::string_view word) {
  if (word.size() < 2 || word.size() > 3) {
    return false;
  }
  for (const Enclosure &e : kEnclosures) {
    if (word == e.opener || word == e.closer) {
      return true;
    }
  }
  return find_name(kStyles, word) != nullptr || find_name(kEnclosures, word) != nullptr ||
         word == "Ns" || word == "Xr" || word == "Fn" || word == "Ap" || word == "Xo" ||
         word == "Xc" || word == "Ta" || word == "Sm";
}

bool closes(std::string_view word) {
  return word.size() == 1 && std::string_view(".,:;)]?!").find(word) != std::string_view::npos;
}
bool opens(std::string_view word) { return word == "(" || word == "["; }

}  // namespace

// A line that is being put together.
struct Mdoc::Line {
  const std::vector<std::string> &words;
  const Escapes &escapes;
  std::string text;
  bool glue = false;  // no blank before the next word
  bool spaced = true;

  void add(std::string_view word) {
    if (!text.empty() && !glue && spaced && !closes(word)) {
      text += ' ';
    }
    glue = opens(word);
    text += word;
  }
};

// words[at] follows the macro `name`.
void Mdoc::inline_macro(Line &line, std::string_view name, std::size_t &at) {
  if (name == "Ns") {
    line.glue = true;
    return;
  }
  if (name == "Ap") {
    line.glue = true;
    line.add("'");
    line.glue = true;
    return;
  }
  if (name == "Sm") {
    if (at < line.words.size() && (line.words[at] == "off" || line.words[at] == "on")) {
      spaced_ = line.words[at++] == "on";
      line.spaced = spaced_;
    }
    return;
  }
  for (const Enclosure &e : kEnclosures) {
    if (name == e.name) {
      // Up to the end of the line; punctuation there stays outside.
      std::size_t end = line.words.size();
      while (end > at && closes(line.words[end - 1])) {
        --end;
      }
      const std::vector<std::string> inside(line.words.begin() + static_cast<std::ptrdiff_t>(at),
                                            line.words.begin() + static_cast<std::ptrdiff_t>(end));
      at = end;
      std::string wrapped(e.open);
      wrapped += inline_text(inside);
      wrapped += e.close;
      line.add(wrapped);
      return;
    }
    if (!e.opener.empty() && name == e.opener) {
      line.add(e.open);
      line.glue = true;
      return;
    }
    if (!e.closer.empty() && name == e.closer) {
      line.glue = true;
      line.add(e.close);
      line.glue = false;
      return;
    }
  }
  std::vector<std::string> own;
  while (at < line.words.size() && !is_macro(line.words[at]) && !closes(line.words[at])) {
    if (opens(line.words[at]) && own.empty()) {
      line.add(line.words[at++]);
      continue;
    }
    own.push_back(line.escapes.expand(line.words[at++]));
  }
  if (name == "Xr" && own.size() > 1) {
    line.add(own[0] + "(" + own[1] + ")");
    return;
  }
  if (name == "Fn" && !own.empty()) {
    std::string call = own[0] + "(";
    for (std::size_t i = 1; i < own.size(); ++i) {
      call += (i > 1 ? ", " : "") + own[i];
    }
    line.add(call + ")");
    return;
  }
  const Style *style = find_name(kStyles, name);
  const Style plain{};
  const Style &s = style != nullptr ? *style : plain;
  if (name == "Nm") {
    if (page_.empty() && !own.empty()) {
      page_ = own.front();
    }
    if (own.empty()) {
      own.push_back(page_);
    }
  }
  if (own.empty()) {
    if (name == "Ar") {
      line.add("file ...");
    } else if (!s.before.empty()) {
      line.add(s.before);
      // "Fl Ns Ar x" and a lone "Fl"
    }
    return;
  }
  if (s.every_word) {
    for (const std::string &word : own) {
      line.add(word == "|" ? word : std::string(s.before) + word);
    }
    return;
  }
  std::string joined(s.before);
  const bool set_apart = !s.before.empty() && s.after.empty();
  for (const std::string &word : own) {
    joined += joined.empty() || (joined == s.before && !set_apart) ? "" : " ";
    joined += word;
  }
  line.add(joined + std::string(s.after));
}

std::string Mdoc::inline_text(const std::vector<std::string> &words) {
  Line line{words, escapes_, {}, false, spaced_};
  for (std::size_t at = 0; at < words.size();) {
    const std::string &word = words[at++];
    if (is_macro(word)) {
      inline_macro(line, word, at);
    } else {
      line.add(escapes_.expand(word));
    }
  }
  return line.text;
}

std::string Mdoc::inline_request(std::string_view name, const std::vector<std::string> &arguments) {
  std::vector<std::string> words;
  words.reserve(arguments.size() + 1);
  words.emplace_back(name);
  words.insert(words.end(), arguments.begin(), arguments.end());
  return inline_text(words);
}

bool Mdoc::title(std::string_view name, const std::vector<std::string> &arguments) {
  if (name == "Dt") {
    const auto argument = [&](std::size_t i) {
      return i < arguments.size() ? escapes_.expand(arguments[i]) : std::string();
    };
    writer_.title(argument(0), argument(1));
  } else if (name == "Sh" || name == "Ss") {
    const std::string text = inline_text(arguments);
    in_synopsis_ = name == "Sh" ? equal_ignoring_case(text, "SYNOPSIS") : in_synopsis_;
    name == "Sh" ? writer_.heading(text) : writer_.subheading(text);
  } else if (name == "Nd") {
    writer_.text("- " + inline_text(arguments));
  } else {
    return name == "Dd";
  }
  return true;
}

bool Mdoc::structure(std::string_view name, const std::vector<std::string> &arguments) {
  if (name == "Pp" || name == "Lp" || name == "Bl" || name == "El") {
    writer_.paragraph();
  } else if (name == "It") {
    writer_.item(inline_text(arguments));
  } else if (name == "Bd") {
    const auto is = [&](std::string_view flag) {
      return std::find(arguments.begin(), arguments.end(), flag) != arguments.end();
    };
    writer_.paragraph();
    writer_.code(is("-literal") || is("-unfilled"));
  } else if (name == "Ed") {
    writer_.code(false);
  } else if (name == "Dl" || name == "D1") {
    const bool was = writer_.in_code();
    writer_.code(true);
    writer_.text(inline_text(arguments));
    writer_.code(was);
  } else {
    return std::find(std::begin(kSilent), std::end(kSilent), name) != std::end(kSilent);
  }
  return true;
}

bool Mdoc::request(std::string_view name, const std::vector<std::string> &arguments) {
  if (title(name, arguments) || structure(name, arguments)) {
    return true;
  }
  if (!is_macro(name)) {
    return false;
  }
  if (in_synopsis_ && (name == "Nm" || name == "Ft" || name == "In")) {
    writer_.line_break();
  }
  writer_.text(inline_request(name, arguments));
  return true;
}

}  // namespace calm::sources::roff
