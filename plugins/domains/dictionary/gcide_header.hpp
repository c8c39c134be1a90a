#pragma once

#include <string>
#include <string_view>

namespace calm::dictionary::gcide {

/// The head of a GCIDE entry, raw markup inside: `Headword \pron\ (pron), n.; pl. {X}.
/// [Etymology.]`.
struct Header {
  std::string headword;
  std::string
      ipa;  // between the first backslashes, as it stands; empty when it is just the headword
  std::string pos;   // "v. t."
  std::string note;  // other spellings, inflected forms, etymology
  std::string rest;  // what follows: a subject such as "(Law)", the first definition
};

/// `text` is one line. The headword is empty when it has no pronunciation between backslashes.
Header parse_header(std::string_view text);

}  // namespace calm::dictionary::gcide
