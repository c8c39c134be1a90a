#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// The inline markup of GCIDE as dictfmt prints it. Every function takes text on one line.
namespace calm::dictionary::gcide {

/// Position after the bracket that closes the one at `open`, or npos. Letters such as ["e] nest.
std::size_t matching_end(std::string_view text, std::size_t open, char left, char right);

/// Without source marks such as "[1913 Webster +PJC]".
std::string remove_sources(std::string_view text);

/// Same, for the end of an entry, where dictfmt leaves the next headword behind: a few words after
/// a source mark or a sentence, without an end of their own, go too.
std::string remove_sources_at_end(std::string_view text);

/// Whether `tail` looks like such a headword: at most four words, no full stop.
bool is_left_behind(std::string_view tail);

/// Length of the part of speech `text` starts with ("v. t. & i."), 0 when there is none.
std::size_t part_of_speech(std::string_view text);

/// Without derived forms such as `-- {Ap*prov"ing*ly}, adv.`
std::string remove_run_ons(std::string_view text);

/// Without WordNet's related words: "[Narrower terms: …]", a list of {links} after the definition.
std::string remove_wordnet_links(std::string_view text);

/// Whether there are words besides labels such as "[F.]", "(Naut.)" or "Syn:".
bool says_something(std::string_view text);

/// Without the sources of definitions ("--Blackstone.") at the end and before "(b) ".
std::string remove_attributions(std::string_view text);

/// Splits "text --Author" into text and author; empty author when there is none.
struct Quotation {
  std::string text, author;
};
Quotation split_quotation(std::string_view text);

/// ["e] as ë, [ae] as æ, [deg] as °; {links} without braces.
std::string expand(std::string_view text);

}  // namespace calm::dictionary::gcide
