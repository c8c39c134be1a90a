#include <algorithm>
#include <iterator>
#include <utility>

#include <common/plain.hpp>

#include "document.hpp"

namespace calm::netref {
namespace {

constexpr std::string_view kUseless[] = {"name",
                                         "see also",
                                         "author",
                                         "authors",
                                         "copyright",
                                         "copyright notice",
                                         "copying",
                                         "reporting bugs",
                                         "colophon",
                                         "git",
                                         "license",
                                         "table of contents",
                                         "contents",
                                         "status of this memo",
                                         "status of memo",
                                         "full copyright statement",
                                         "author's address",
                                         "authors' addresses",
                                         "author's addresses",
                                         "references",
                                         "normative references",
                                         "informative references",
                                         "intellectual property",
                                         "acknowledgements",
                                         "acknowledgments",
                                         "acknowledgement",
                                         "acknowledgment",
                                         "index",
                                         "library",
                                         "attributes"};

// "RETURN VALUE" reads like a shout in a question.
std::string quiet(std::string_view heading) {
  const bool shouts =
      std::none_of(heading.begin(), heading.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return shouts ? sources::to_lower(heading) : std::string(heading);
}

std::string one_line(std::string_view text) { return sources::plain_text(text); }

}  // namespace

bool is_worth_reading(std::string_view heading) {
  return std::none_of(std::begin(kUseless), std::end(kUseless), [&](std::string_view useless) {
    return sources::equal_ignoring_case(heading, useless);
  });
}

Document from_manual(const sources::Manual &manual) {
  Document document{manual.name, manual.description, {}};
  for (const sources::ManualSection &section : manual.sections) {
    if (!is_worth_reading(section.heading)) {
      continue;
    }
    std::string heading = quiet(section.heading);
    if (!section.subheading.empty()) {
      heading += heading.empty() ? "" : ": ";
      heading += quiet(section.subheading);
    }
    Section out{std::move(heading), {}};
    for (const sources::ManualBlock &block : section.blocks) {
      const bool code = block.kind == sources::ManualBlock::Kind::kCode ||
                        sources::equal_ignoring_case(section.heading, "SYNOPSIS");
      out.paragraphs.push_back(
          {one_line(block.tag), code ? sources::plain_lines(block.text) : one_line(block.text)});
    }
    document.sections.push_back(std::move(out));
  }
  return document;
}

}  // namespace calm::netref
