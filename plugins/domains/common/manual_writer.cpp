#include <common/manual_writer.hpp>

#include <algorithm>
#include <utility>

#include <common/plain.hpp>

namespace calm::sources::roff {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestTag = 100;
constexpr std::size_t kMaxNames = 32;

// "open, creat - open a file": what stands before and after the dash.
void read_name_section(const ManualSection &section, Manual &manual) {
  if (section.blocks.empty()) {
    return;
  }
  const std::string line = plain_text(section.blocks.front().text);
  std::size_t dash = line.find(" - ");
  std::size_t width = 3;
  for (const std::string_view other : {" -- ", " \xe2\x80\x93 ", " \xe2\x80\x94 "}) {
    if (const std::size_t at = line.find(other); at < dash) {
      dash = at;
      width = other.size();
    }
  }
  if (dash == npos) {
    return;
  }
  manual.description = line.substr(dash + width);
  std::string_view names = std::string_view(line).substr(0, dash);
  while (!names.empty() && manual.names.size() < kMaxNames) {
    const std::size_t comma = std::min(names.find(','), names.size());
    const std::string_view name = trim(names.substr(0, comma));
    if (!name.empty()) {
      manual.names.emplace_back(name);
    }
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
}

// The title is in capitals by custom; NAME has the letters as they are typed.
void settle_name(Manual &manual) {
  for (const std::string &name : manual.names) {
    if (equal_ignoring_case(name, manual.name)) {
      manual.name = name;
      return;
    }
  }
  if (std::none_of(manual.name.begin(), manual.name.end(),
                   [](char c) { return c >= 'a' && c <= 'z'; })) {
    manual.name = to_lower(manual.name);
  }
}

}  // namespace

void ManualWriter::title(std::string_view name, std::string_view section) {
  if (!titled_) {
    titled_ = true;
    manual_.name = plain_text(name);
    manual_.section = plain_text(section);
  }
}

ManualSection &ManualWriter::section() {
  if (manual_.sections.empty()) {
    manual_.sections.emplace_back();
  }
  return manual_.sections.back();
}

void ManualWriter::flush() {
  while (!block_.text.empty() && (block_.text.back() == '\n' || block_.text.back() == ' ')) {
    block_.text.pop_back();
  }
  if (!block_.text.empty() || !block_.tag.empty()) {
    section().blocks.push_back(std::move(block_));
  }
  block_ = ManualBlock();
  break_ = false;
}

void ManualWriter::heading(std::string_view text) {
  flush();
  code_ = false;
  manual_.sections.push_back({plain_text(text), {}, {}});
}

void ManualWriter::subheading(std::string_view text) {
  flush();
  code_ = false;
  const std::string heading = section().heading;
  manual_.sections.push_back({heading, plain_text(text), {}});
}

void ManualWriter::text(std::string_view words) {
  if (code_) {
    block_.text += words;
    block_.text += '\n';
    return;
  }
  words = trim(words);
  if (words.empty()) {
    return;
  }
  if (!block_.text.empty()) {
    block_.text += break_ ? '\n' : ' ';
  }
  break_ = false;
  block_.text += words;
}

void ManualWriter::line_break() { break_ = true; }

void ManualWriter::paragraph() {
  if (code_) {
    if (!block_.text.empty()) {
      block_.text += '\n';
    }
    return;
  }
  flush();
}

void ManualWriter::item(std::string_view tag) {
  flush();
  code_ = false;
  block_.kind = ManualBlock::Kind::kItem;
  block_.tag = plain_text(tag);
}

void ManualWriter::also(std::string_view tag) {
  if (block_.kind != ManualBlock::Kind::kItem || !block_.text.empty()) {
    item(tag);
    return;
  }
  block_.tag += block_.tag.empty() ? "" : ", ";
  block_.tag += plain_text(tag);
}

void ManualWriter::indent() {
  const bool short_paragraph = !code_ && block_.kind == ManualBlock::Kind::kText &&
                               !block_.text.empty() && block_.text.size() <= kLongestTag &&
                               block_.text.back() != '.' && block_.text.back() != ':';
  if (short_paragraph) {
    const std::string tag = std::exchange(block_.text, {});
    item(tag);
  } else if (!code_ && block_.kind == ManualBlock::Kind::kText) {
    flush();
  }
}

void ManualWriter::code(bool on) {
  if (on != code_) {
    // A tag without words of its own is explained by what follows.
    const std::string tag = block_.text.empty() ? block_.tag : std::string();
    if (!tag.empty()) {
      block_.tag.clear();
    }
    flush();
    block_.tag = tag;
    block_.kind = on ? ManualBlock::Kind::kCode
                     : (tag.empty() ? ManualBlock::Kind::kText : ManualBlock::Kind::kItem);
    code_ = on;
  }
}

Manual ManualWriter::finish() {
  flush();
  for (const ManualSection &section : manual_.sections) {
    if (equal_ignoring_case(section.heading, "NAME")) {
      read_name_section(section, manual_);
      break;
    }
  }
  settle_name(manual_);
  return std::move(manual_);
}

}  // namespace calm::sources::roff
