#include "signature.hpp"

#include <calm/ops/selective_scan.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace calm::reference {
namespace {

/// Takes the text up to `end` off the front of `text`.
std::string_view take_until(std::string_view &text, std::string_view end) {
  const std::size_t at = text.find(end);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
  return head;
}

/// One operand of a signature.
struct Pattern {
  char dtype;
  std::string_view shape;
  bool optional = false;
  std::uint32_t most = 1;  // consecutive operands it stands for

  explicit Pattern(std::string_view text) : dtype(text.front()), shape(text.substr(1)) {
    if (shape.ends_with('?')) {
      optional = true;
      shape.remove_suffix(1);
    }
    if (shape.ends_with('}')) {
      most = static_cast<std::uint32_t>(shape[shape.size() - 2] - '0');
      shape.remove_suffix(3);
    }
  }
};

class Matcher {
 public:
  calm_dtype real() const { return real_; }

  /// Whether `type` fits; binds what is still free.
  bool fits(const Pattern &pattern, const calm_type &type) {
    switch (pattern.dtype) {
      case 'r':
        if (type.dtype != CALM_F32 && type.dtype != CALM_F64 && type.dtype != CALM_BF16 &&
            type.dtype != CALM_F16) {
          return false;
        }
        real_ = real_ == 0 ? type.dtype : real_;
        if (type.dtype != real_) {
          return false;
        }
        break;
      case 'i':
        if (type.dtype != CALM_I32) {
          return false;
        }
        break;
      case 'l':
        if (type.dtype != CALM_I64) {
          return false;
        }
        break;
      default:
        break;
    }
    return fits_shape(pattern.shape, type);
  }

 private:
  bool fits_shape(std::string_view shape, const calm_type &type) {
    if (shape == ".") {
      return true;
    }
    if (shape == "*") {
      star_ = star_ ? star_ : std::optional<calm_type>(type);
      return same_extents(*star_, type);
    }
    if (shape == "~") {
      return type.rank == 0 || same_extents(*star_, type) ||
             (type.rank == 1 && star_->rank > 0 && type.shape[0] == star_->shape[star_->rank - 1]);
    }
    shape.remove_prefix(1);  // the brackets
    shape.remove_suffix(1);
    std::uint32_t axis = 0;
    while (!shape.empty()) {
      if (axis == type.rank || !fits_extent(take_until(shape, ","), type.shape[axis])) {
        return false;
      }
      ++axis;
    }
    return axis == type.rank;
  }

  bool fits_extent(std::string_view text, std::int64_t extent) {
    if (text == "_") {
      return true;
    }
    std::int64_t &bound = extent_of(text.front());
    if (text.ends_with("+1")) {
      bound = bound < 0 ? extent - 1 : bound;
      return extent >= 1 && extent == bound + 1;
    }
    if (text.ends_with("/64")) {
      return extent == (bound + CALM_SCAN_CHUNK - 1) / CALM_SCAN_CHUNK;
    }
    bound = bound < 0 ? extent : bound;
    return extent == bound;
  }

  std::int64_t &extent_of(char name) {
    for (auto &[known, extent] : extents_) {
      if (known == name) {
        return extent;
      }
    }
    return extents_.emplace_back(name, -1).second;
  }

  static bool same_extents(const calm_type &a, const calm_type &b) {
    bool same = a.rank == b.rank;
    for (std::uint32_t i = 0; same && i < a.rank; ++i) {
      same = a.shape[i] == b.shape[i];
    }
    return same;
  }

  calm_dtype real_ = 0;
  std::optional<calm_type> star_;
  std::vector<std::pair<char, std::int64_t>> extents_;
};

void match_operands(Matcher &matcher, std::string_view patterns,
                    const std::vector<calm_type> &types, bool outputs) {
  const std::string kind = outputs ? "output " : "input ";
  std::size_t at = 0;
  while (!patterns.empty()) {
    const std::string_view text = take_until(patterns, " ");
    if (text.empty()) {
      continue;
    }
    const Pattern pattern(text);
    for (std::uint32_t k = 0; k < pattern.most && (k == 0 || at < types.size()); ++k, ++at) {
      const bool present = at < types.size() && types[at].dtype != 0;
      if (present ? !matcher.fits(pattern, types[at]) : !outputs && !pattern.optional) {
        throw Error(CALM_INVALID_ARGUMENT,
                    kind + std::to_string(at) + ": expected " + std::string(text) + ", found " +
                        (present ? describe(types[at]) : std::string("nothing")));
      }
    }
  }
  if (types.size() > at) {
    throw Error(CALM_INVALID_ARGUMENT, "expected at most " + std::to_string(at) + " " + kind +
                                           "operands, found " + std::to_string(types.size()));
  }
}

void match_attrs(std::string_view kinds, const std::vector<calm_value> &attrs) {
  std::string found;
  for (const calm_value &attr : attrs) {
    found += attr.type == CALM_VALUE_I64    ? 'i'
             : attr.type == CALM_VALUE_F64  ? 'f'
             : attr.type == CALM_VALUE_BOOL ? 'b'
                                            : '?';
  }
  if (found != kinds) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected attributes \"" + std::string(kinds) + "\", found \"" + found + "\"");
  }
}

}  // namespace

calm_dtype match_signature(const Node &node, std::string_view signature) {
  std::string_view outputs = signature;
  std::string_view attrs = take_until(outputs, "->");
  const std::string_view inputs = take_until(attrs, "|");
  while (attrs.starts_with(' ')) {
    attrs.remove_prefix(1);
  }
  while (attrs.ends_with(' ')) {
    attrs.remove_suffix(1);
  }
  match_attrs(attrs, node.attrs);
  Matcher matcher;
  match_operands(matcher, inputs, node.ins, false);
  match_operands(matcher, outputs, node.outs, true);
  return matcher.real();
}

}  // namespace calm::reference
