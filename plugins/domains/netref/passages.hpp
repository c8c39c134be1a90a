#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "document.hpp"

namespace calm::netref {

/// A question and what answers it. Neither holds a tag of spec L; the query is one line.
struct Answer {
  std::string query;
  std::vector<std::string> passages;  ///< lines, none of them empty; at least one passage
};

/// What a document answers, in its order: its summary or title with the first words it says, each
/// section, each item. A query and a passage together have at most `room` bytes; longer texts are
/// cut between paragraphs, else sentences, and become several passages.
std::vector<Answer> answers_of(const Document &document, std::size_t room);

}  // namespace calm::netref
