#include "passages.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <common/plain.hpp>

namespace calm::netref {
namespace {

constexpr std::size_t kLongestQuery = 160;
// A tag in front of a text that is shorter explains nothing.
constexpr std::size_t kShortestText = 12;

// At a character's start, `room` bytes from the beginning at most.
std::size_t cut_at_character(std::string_view text, std::size_t room) {
  std::size_t at = std::min(room, text.size());
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) {
    --at;
  }
  return at;
}

std::string short_query(std::string_view query) {
  std::size_t end = query.size();
  if (query.size() > kLongestQuery) {
    end = sources::cut_at_sentence(query, kLongestQuery);
    end = end == 0 ? cut_at_character(query, kLongestQuery) : end;
  }
  return sources::plain_text(query.substr(0, end));
}

class Passages {
 public:
  Passages(Answer &answer, std::size_t room)
      : answer_(answer), room_(room > answer.query.size() ? room - answer.query.size() : 0) {}

  void add(std::string_view paragraph) {
    paragraph = sources::trim(paragraph);
    if (!open_.empty() && open_.size() + 1 + paragraph.size() > room_) {
      finish();
    }
    while (paragraph.size() > room_) {
      std::size_t cut = sources::cut_at_sentence(paragraph, room_);
      cut = cut == 0 ? cut_at_character(paragraph, room_) : cut;
      if (cut == 0) {
        return;
      }
      push(paragraph.substr(0, cut));
      paragraph = sources::trim(paragraph.substr(cut));
    }
    if (!paragraph.empty()) {
      open_ += open_.empty() ? "" : "\n";
      open_ += paragraph;
    }
  }

  void finish() {
    push(open_);
    open_.clear();
  }

 private:
  void push(std::string_view text) {
    std::string lines = sources::plain_lines(text);
    if (!lines.empty()) {
      answer_.passages.push_back(std::move(lines));
    }
  }

  Answer &answer_;
  std::size_t room_;
  std::string open_;
};

bool is_description(std::string_view heading) {
  return heading.empty() || sources::equal_ignoring_case(heading, "description") ||
         sources::equal_ignoring_case(heading, "introduction") ||
         sources::equal_ignoring_case(heading, "abstract");
}

std::string section_query(const Document &document, const Section &section, bool described) {
  if (!described && is_description(section.heading)) {
    return document.title + (document.summary.empty() ? "" : ": " + document.summary);
  }
  return document.title + (section.heading.empty() ? "" : ": " + section.heading);
}

}  // namespace

std::vector<Answer> answers_of(const Document &document, std::size_t room) {
  std::vector<Answer> answers;
  bool described = false;
  const auto keep = [&](Answer &answer) {
    if (!answer.passages.empty()) {
      answers.push_back(std::move(answer));
    }
  };
  for (const Section &section : document.sections) {
    Answer whole{short_query(section_query(document, section, described)), {}};
    described = described || is_description(section.heading);
    Passages running(whole, room);
    std::vector<Answer> items;
    for (const Paragraph &paragraph : section.paragraphs) {
      const bool item = !paragraph.tag.empty() && paragraph.text.size() >= kShortestText;
      if (item) {
        items.push_back({short_query(document.title + " " + paragraph.tag), {}});
        Passages one(items.back(), room);
        one.add(paragraph.text);
        one.finish();
      } else {
        running.add(paragraph.text);
      }
    }
    running.finish();
    keep(whole);
    std::for_each(items.begin(), items.end(), keep);
  }
  return answers;
}

}  // namespace calm::netref
