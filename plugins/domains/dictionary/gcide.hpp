#pragma once

#include <string_view>
#include <vector>

#include "entry.hpp"

namespace calm::dictionary {

/// Entries of one record of the Collaborative International Dictionary of English (Webster 1913,
/// WordNet and later hands) as dict-gcide prints it, UTF-8. Usually one; some records hold the end
/// of an earlier entry, which is left out, and several whole ones. Layout:
///
///   Headword \Head"word`\ (?), n. [Etymology.] (Subject)       column 0, wrapped lines at 3
///      Definition, or                                          column 3
///      1. (Subject) Definition. --Source.                      columns 3 and 6
///         (a) Narrower definition.                             columns 6 and 10
///
///            A quotation.                    --Author.         column 9 or more
///
///      {Phrase}, its definition.
///      Syn: words.    Note: remarks.
std::vector<Entry> parse_gcide(std::string_view record);

}  // namespace calm::dictionary
