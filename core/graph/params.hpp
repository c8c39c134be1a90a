#pragma once

#include <calm/builder.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calm::graph {

/// A parameter as a model declared it, with its place in the flat group (program rule 7).
struct Param {
  std::string name;
  calm_type type{};
  bool decay = true;
  bool frozen = false;
  calm_init_kind init = CALM_INIT_ZEROS;
  double args[4] = {0, 0, 0, 0};
  calm_init_fn fill = nullptr;
  std::uint64_t offset = 0;  ///< elements from the start of the flat slot; set by freeze()
};

/// One contiguous range of the flat slots: elements [begin, begin + count).
struct FlatGroup {
  std::string name;  ///< "decay" or "plain"
  bool decay = true;
  std::uint64_t begin = 0;
  std::uint64_t count = 0;
};

/// The parameters of a run in declaration order, and where each lies in the flat slots weights,
/// grads, m, v: decayed group first, then the rest, frozen parameters last; every view 256-byte
/// aligned for 4-byte elements, padding zero. All programs of a run share one layout.
class ParamLayout {
 public:
  /// Declares a parameter or finds it again; CALM_INVALID_ARGUMENT when it comes back different, or
  /// new after freeze().
  std::uint32_t declare(const calm_param &param);
  /// Fixes the offsets. Declaring known parameters stays legal.
  void freeze();
  bool frozen() const { return frozen_; }

  const std::vector<Param> &params() const { return params_; }
  const Param &param(std::uint32_t index) const { return params_[index]; }
  /// Index of a name, or CALM_NONE.
  std::uint32_t find(std::string_view name) const;
  /// The groups AdamW updates (empty ones left out).
  const std::vector<FlatGroup> &groups() const { return groups_; }
  /// Elements of a flat slot, padding included.
  std::uint64_t elements() const { return elements_; }
  /// Elements without padding: the parameter count people quote.
  std::uint64_t count() const;

 private:
  std::vector<Param> params_;
  std::vector<FlatGroup> groups_;
  std::uint64_t elements_ = 0;
  bool frozen_ = false;
};

}  // namespace calm::graph
