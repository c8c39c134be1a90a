#pragma once

#include "core/text/tokenizer.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The template DSL (spec section B): a one-line specification says which frames a sequence has and
// in which order; options fill them. Everything here is a pure function. [any]
namespace calm::text {

enum class ElementKind { kBare, kFrame, kFrameSub, kList, kRepeated, kRepeatedSub };

// The names of B.1: "bare", "frame", "frame_sub", "list", "repeated", "repeated_sub".
std::string_view kind_name(ElementKind kind);

struct Subtoken {
  Token token;
  std::string field;  // empty for a bare subtoken
  bool bare() const { return field.empty(); }
};

struct Element {
  ElementKind kind;
  Token token;
  std::string field;        // empty for kBare
  std::string primary_key;  // kRepeatedSub only
  std::vector<Subtoken> subtokens;
  bool terminal = false;  // B.2: the open frame that the model continues; never closed with END
};

struct Template {
  std::vector<Element> elements;  // at least one when it comes from parse_template
};

// B.1 and B.2. Throws Error(CALM_INVALID_ARGUMENT) naming the entry that cannot be read.
Template parse_template(std::string_view spec);

// B.3: entry fields, each followed by its subtokens' fields; no primary keys, duplicates kept.
std::vector<std::string> field_names(const Template &layout);

// The listing of `calm generate --show-fields` (N.3), every line ended by a line feed; a bad
// specification gives a note instead of the listing. The specification is echoed as it is: escape
// the whole with printable() for a terminal.
std::string describe_fields(std::string_view spec);

// A value for a field (B.4). Default-constructed = absent.
struct OptionValue;
using OptionList = std::vector<OptionValue>;
using OptionMap = std::map<std::string, OptionValue, std::less<>>;
struct OptionValue {
  std::variant<std::monostate, bool, std::int64_t, std::string, OptionList, OptionMap> value;
};

inline constexpr std::int64_t kDefaultBudget = 768;

// B.5: the sequence for `options`. `budget` (tokens) limits only repeated and repeated_sub entries,
// newest items first; fixed parts are never cut, so the result may be longer. The option `eos`,
// when truthy, appends EOS outside the budget. Values of an unfit type count as absent; nothing
// throws.
std::vector<Token> build_sequence(const Template &layout, const OptionMap &options,
                                  std::int64_t budget = kDefaultBudget);

}  // namespace calm::text
