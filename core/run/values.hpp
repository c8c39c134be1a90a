#pragma once

#include <calm/base.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

namespace calm::run {

/// The value as text: numbers in shortest round-trip form, booleans true/false.
std::string to_text(const OwnedValue &value);

/// A section of a configuration: every key of a schema, in its order, each with a checked value.
class Values {
 public:
  Values() = default;
  /// Takes `given` where present, the schema's default elsewhere. `section` names the place in
  /// errors
  /// ("training"). Integers are accepted for real keys. CALM_INVALID_ARGUMENT for an unknown key
  /// (with the nearest name), a wrong type, a missing required key, a value out of range.
  static Values resolve(const calm_table &schema, std::span<const OwnedValue> given,
                        std::string_view section);

  const std::vector<OwnedValue> &list() const { return list_; }
  /// C records; views of this object.
  std::vector<calm_value> records() const;
  bool has(std::string_view name) const;
  /// CALM_INTERNAL when there is no such key.
  const OwnedValue &at(std::string_view name) const;
  std::int64_t integer(std::string_view name) const { return at(name).i64; }
  double real(std::string_view name) const { return at(name).f64; }
  bool flag(std::string_view name) const { return at(name).i64 != 0; }

 private:
  std::vector<OwnedValue> list_;
};

}  // namespace calm::run
