#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <common/manual.hpp>

namespace calm::netref {

struct Paragraph {
  std::string tag;   ///< what an item explains: "-v, --verbose"; empty for running text
  std::string text;  ///< lines; a paragraph of prose is one
};

struct Section {
  std::string heading;  ///< empty for what stands before the first one
  std::vector<Paragraph> paragraphs;
};

/// A reference as the importer sees it, whatever it was written in.
struct Document {
  std::string title;    ///< "open", "RFC 1918 Address Allocation for Private Internets"
  std::string summary;  ///< one line that says what it is about; may be empty
  std::vector<Section> sections;
};

/// Sections that help nobody (authors, copyright, where to look further) are left out.
Document from_manual(const sources::Manual &manual);

/// A plain text, cut at its headings: numbered ("2.1 Scope"), underlined, of Markdown ("## Scope")
/// or in capitals. The page breaks, headers and footers of an RFC are taken out. `name` is the
/// file's and serves where the text has no title.
Document parse_text(std::string_view text, std::string_view name);

/// Whether a section of that heading is worth reading.
bool is_worth_reading(std::string_view heading);

}  // namespace calm::netref
