#pragma once

#include <string>
#include <string_view>
#include <vector>

// What the smaller databases have in common once dictfmt has printed them.
namespace calm::dictionary::dictfmt {

/// A record cut at its empty lines: each part on one line, single blanks. A word that was
/// hyphenated over two lines stays hyphenated, without a blank.
std::vector<std::string> paragraphs(std::string_view record);

/// {links} without braces; those to an address, `{text (http://...)}`, keep their text alone.
std::string without_links(std::string_view text);

/// Takes `/pronunciation/` off the beginning of `text`, with the comma after it; empty when there
/// is none.
std::string take_pronunciation(std::string_view &text);

/// Takes a number such as "2. " off the beginning of `text`; false when there is none.
bool take_number(std::string_view &text);

/// Whether a paragraph only leads elsewhere: "See {x}.", "Compare ...".
bool is_reference(std::string_view text);

}  // namespace calm::dictionary::dictfmt
