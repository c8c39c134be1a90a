#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/format.hpp>

namespace calm::cwgt {

// Throws INVALID_ARGUMENT "name: expected X, found Y".
[[noreturn]] void refuse(std::string_view name, const std::string &expected,
                         const std::string &found);

// The fields of a document to be written: taken by name, with type and range checked, and in the
// end those that nobody took are refused. `name` must outlive this object.
class Fields {
 public:
  explicit Fields(const DocumentView &document) : document_(&document) {}

  std::uint64_t integer(std::string_view name, std::uint64_t min, std::uint64_t max,
                        std::uint64_t fallback);
  // A required integer, 1 to max.
  std::uint64_t size(std::string_view name, std::uint64_t max);
  // A real number as thousandths (spec K.2), absent as 0.
  std::uint64_t thousandths(std::string_view name, std::uint64_t max);
  std::string text(std::string_view name);
  bool flag(std::string_view name, bool fallback);
  void refuse_others() const;

 private:
  const calm_value *take(std::string_view name);

  const DocumentView *document_;
  std::vector<std::string_view> taken_;
};

}  // namespace calm::cwgt
