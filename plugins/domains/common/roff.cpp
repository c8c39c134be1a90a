#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <common/manual.hpp>
#include <common/manual_writer.hpp>
#include <common/mdoc.hpp>
#include <common/plain.hpp>
#include <common/roff_escape.hpp>

// man(7) macros and the few requests of roff(7) that pages use.
namespace calm::sources {
namespace roff {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kMaxLine = std::size_t{1} << 16;
constexpr int kMaxNesting = 32;

class Reader {
 public:
  explicit Reader(std::string_view source) : rest_(source), mdoc_(writer_, escapes_) {}

  Manual read() {
    while (!rest_.empty()) {
      line(next_line());
    }
    return writer_.finish();
  }

  bool titled() const { return writer_.has_title(); }

 private:
  // An input line, those it continues on joined.
  std::string next_line() {
    std::string line(take_line(rest_).substr(0, kMaxLine));
    while (!line.empty() && line.back() == '\\' && !rest_.empty() && line.size() < kMaxLine &&
           !(line.size() > 1 && line[line.size() - 2] == '\\')) {
      line.pop_back();
      line += take_line(rest_).substr(0, kMaxLine);
    }
    return line;
  }

  void line(std::string_view line) {
    const bool request = !line.empty() && (line[0] == '.' || line[0] == '\'');
    if (!request) {
      text(line);
      return;
    }
    line.remove_prefix(1);
    line = trim(without_comment(line));
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    run(line.substr(0, end), trim(line.substr(end)));
  }

  void text(std::string_view line) {
    const bool glued = line.ends_with("\\c");
    const std::string words = escapes_.expand(without_comment(line));
    close_braces(line);
    if (want_tag_) {
      if (!trim(words).empty()) {
        tag(words);
      }
      return;
    }
    if (trim(words).empty() && !writer_.in_code()) {
      if (trim(line).empty()) {
        writer_.paragraph();
      }
      return;
    }
    // A line that begins with a blank begins a line.
    if (!writer_.in_code() && !words.empty() && words[0] == ' ') {
      writer_.line_break();
    }
    say(words, glued);
  }

  // Words for the page, or for the line that \c left open.
  void say(std::string_view words, bool glued) {
    open_ += words;
    if (glued && open_.size() < kMaxLine) {
      return;
    }
    writer_.text(std::exchange(open_, {}));
  }

  void tag(std::string_view words) {
    const bool more = std::exchange(want_more_tag_, false);
    want_tag_ = false;
    more ? writer_.also(words) : writer_.item(words);
  }

  void run(std::string_view name, std::string_view rest) {
    if (name.empty() || name == "\\}" || name == "." || name[0] == '\\') {
      return;
    }
    if (name == "if" || name == "ie" || name == "el" || name == "while") {
      conditional(name, rest);
      return;
    }
    if (name == "de" || name == "de1" || name == "am" || name == "ig") {
      skip_to(name == "ig" && rest.empty() ? "." : end_of_definition(rest));
      return;
    }
    if (name == "TS" || name == "EQ" || name == "PS") {
      skip_to(name == "TS" ? "TE" : (name == "EQ" ? "EN" : "PE"));
      return;
    }
    if (name == "ds" || name == "ds1") {
      const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
      std::string_view value = trim(rest.substr(end));
      value.remove_prefix(value.starts_with("\"") ? 1 : 0);
      escapes_.define(rest.substr(0, end), value);
      return;
    }
    const std::vector<std::string> arguments = split_arguments(rest);
    if (title(name, arguments) || layout(name, rest, arguments) || font(name, arguments)) {
      return;
    }
    if (want_tag_) {  // mdoc has no .TP
      return;
    }
    mdoc_.request(name, arguments);
  }

  static std::string_view end_of_definition(std::string_view rest) {
    const std::size_t blank = rest.find_first_of(" \t");
    const std::string_view end = blank == npos ? std::string_view() : trim(rest.substr(blank));
    return end.empty() ? std::string_view(".") : end;
  }

  // To the line ".end".
  void skip_to(std::string_view end) {
    while (!rest_.empty()) {
      const std::string_view line = take_line(rest_);
      if (line.size() > end.size() && (line[0] == '.' || line[0] == '\'') &&
          trim(line.substr(1)).substr(0, end.size()) == end &&
          (line[1] == '.' || trim(line.substr(1)).size() == end.size())) {
        return;
      }
    }
  }

  // What a terminal would show: `n` holds, numbers are zero but for groff's own.
  static bool holds(std::string_view condition) {
    const bool negated = condition.starts_with("!");
    condition.remove_prefix(negated ? 1 : 0);
    const bool value = condition == "n" || condition == "o" || condition.starts_with("\\n(.g") ||
                       condition.starts_with("\\n[.g]");
    return value != negated;
  }

  void conditional(std::string_view name, std::string_view rest) {
    if (++nesting_ > kMaxNesting) {
      --nesting_;
      return;
    }
    bool chosen = false;
    if (name == "el") {
      chosen = !last_choice_;
    } else {
      std::size_t end = 0;
      if (rest.starts_with("(")) {  // an expression in parentheses, blanks inside
        int depth = 0;
        do {
          depth += rest[end] == '(' ? 1 : (rest[end] == ')' ? -1 : 0);
          ++end;
        } while (end < rest.size() && depth > 0);
      } else {
        end = std::min(rest.find_first_of(" \t"), rest.size());
      }
      chosen = name != "while" && holds(rest.substr(0, end));
      rest = trim(rest.substr(end));
      last_choice_ = chosen;
    }
    if (rest.starts_with("\\{")) {
      rest = trim(rest.substr(2));
      if (chosen) {
        ++braces_;
      } else {
        skip_braces(rest);
        rest = {};
      }
    }
    if (chosen && !rest.empty() && rest != "\\") {
      line(rest);
    }
    --nesting_;
  }

  // Braces of branches that were taken mean nothing any more.
  void close_braces(std::string_view line) {
    if (braces_ > 0 && line.find("\\}") != npos) {
      --braces_;
    }
  }

  void skip_braces(std::string_view line) {
    int depth = 1;
    for (;;) {
      for (std::size_t at = line.find('\\'); at != npos && at + 1 < line.size();
           at = line.find('\\', at + 2)) {
        depth += line[at + 1] == '{' ? 1 : (line[at + 1] == '}' ? -1 : 0);
      }
      if (depth <= 0 || rest_.empty()) {
        return;
      }
      line = take_line(rest_);
    }
  }

  bool title(std::string_view name, const std::vector<std::string> &arguments) {
    const auto argument = [&](std::size_t i) {
      return i < arguments.size() ? escapes_.expand(arguments[i]) : std::string();
    };
    if (name == "TH") {
      writer_.title(argument(0), argument(1));
    } else if (name == "SH" || name == "SS") {
      want_tag_ = false;
      std::string heading = joined(arguments, " ");
      if (heading.empty() && !rest_.empty() && rest_[0] != '.') {
        heading = escapes_.expand(next_line());
      }
      name == "SH" ? writer_.heading(heading) : writer_.subheading(heading);
    } else {
      return false;
    }
    return true;
  }

  bool layout(std::string_view name, std::string_view rest,
              const std::vector<std::string> &arguments) {
    if (name == "PP" || name == "P" || name == "LP" || name == "HP" || name == "Sp" ||
        name == "sp") {
      want_tag_ = false;
      writer_.paragraph();
    } else if (name == "TP" || name == "TQ") {
      want_tag_ = true;
      want_more_tag_ = name == "TQ";
    } else if (name == "IP") {
      want_tag_ = false;
      const std::string tag = arguments.empty() ? std::string() : escapes_.expand(arguments[0]);
      const bool bullet =
          tag.size() <= 4 && tag.find_first_not_of("*-o.()0123456789+ \xc2\xb7") == npos;
      bullet ? writer_.paragraph() : writer_.item(tag);
    } else if (name == "RS") {
      want_tag_ = false;
      writer_.indent();
    } else if (name == "RE") {
      if (!writer_.in_code()) {
        writer_.paragraph();
      }
    } else if (name == "nf" || name == "EX" || name == "Vb") {
      writer_.code(true);
    } else if (name == "fi" || name == "EE" || name == "Ve") {
      writer_.code(false);
    } else if (name == "br" || name == "ti" || name == "ce") {
      writer_.line_break();
    } else if (name == "SY") {
      writer_.line_break();
      writer_.text(joined(arguments, " "));
    } else if (name == "OP") {
      writer_.text("[" + joined(arguments, " ") + "]");
    } else if (name == "UR" || name == "MT" || name == "UE" || name == "ME" || name == "YS" ||
               name == "so" || name == "nr" || name == "PD" || name == "ad" || name == "hy" ||
               name == "nh" || name == "in" || name == "IX" || name == "ft" || name == "na") {
      return true;
    } else {
      return false;
    }
    static_cast<void>(rest);
    return true;
  }

  // .B .I and their kin: their arguments, those of alternating fonts without blanks between.
  bool font(std::string_view name, const std::vector<std::string> &arguments) {
    const auto is_font = [](char c) { return c == 'B' || c == 'I' || c == 'R' || c == 'S'; };
    const bool one = name == "B" || name == "I" || name == "SM" || name == "SB" || name == "R";
    const bool two = name.size() == 2 && is_font(name[0]) && is_font(name[1]);
    if ((!one && !two) || name == "SS") {
      return false;
    }
    if (one && arguments.empty() && !rest_.empty() && rest_[0] != '.') {
      return true;  // the next line is set in that font
    }
    const std::string words = joined(arguments, one || name == "SM" || name == "SB" ? " " : "");
    if (want_tag_) {
      tag(words);
    } else {
      say(words, false);
    }
    return true;
  }

  std::string joined(const std::vector<std::string> &arguments, std::string_view between) const {
    std::string out;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      out += i == 0 ? std::string_view() : between;
      out += escapes_.expand(arguments[i]);
    }
    return out;
  }

  std::string_view rest_;
  ManualWriter writer_;
  Escapes escapes_;
  Mdoc mdoc_;
  std::string open_;  // text whose line \c left open
  bool want_tag_ = false, want_more_tag_ = false;
  bool last_choice_ = true;
  int braces_ = 0, nesting_ = 0;
};

}  // namespace
}  // namespace roff

std::optional<Manual> parse_manual(std::string_view source) {
  roff::Reader reader(source);
  Manual manual = reader.read();
  if (!reader.titled() || manual.name.empty()) {
    return std::nullopt;
  }
  return manual;
}

bool is_manual_name(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < name.size() &&
         name.size() - dot <= 8 && name[dot + 1] >= '1' && name[dot + 1] <= '9' &&
         (name.size() == dot + 2 || (name[dot + 2] >= 'a' && name[dot + 2] <= 'z'));
}

}  // namespace calm::sources
