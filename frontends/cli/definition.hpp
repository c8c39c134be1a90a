#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace calm::cli {

/// An entry of a dictionary as a model writes it (spec L.4). Valid UTF-8, no blanks at the ends.
struct Definition {
  struct Quote {
    std::string text, author;
  };
  struct Sense {
    std::string text;
    std::vector<Quote> quotes;
  };
  std::string pos, note, ipa;
  std::vector<Sense> senses;
};

/// Reads what follows `WORD … ATN`: [POS …] [NOTE …] [IPA …] END, then DEF … END and QUOTE …
/// [BY …] END. Bytes outside of these and quotes before a sense are left out; empty senses too.
Definition read_definition(std::span<const text::Token> ids);

}  // namespace calm::cli
