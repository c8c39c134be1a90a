#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/program.hpp"

namespace calm::conformance {

/// A program whose tensors stand apart. A copy of a program's tables in which each stored tensor,
/// temporaries too, has a place of its own with red zones before and behind it; views and updates
/// stay where their targets are. What a backend writes beyond a tensor is found in a zone, and
/// reading beyond one gives poison instead of a neighbour's numbers.
class SpacedProgram {
 public:
  struct Range {
    std::uint64_t begin, end;  // bytes of a slot
  };

  /// `program` must outlive this object.
  explicit SpacedProgram(const graph::Program &program);
  SpacedProgram(const SpacedProgram &) = delete;
  SpacedProgram &operator=(const SpacedProgram &) = delete;

  const calm_program &table() const { return table_; }
  std::uint64_t slot_bytes(std::uint32_t slot) const { return slots_[slot].bytes; }
  /// What lies between the tensors of a slot. A slot that is used begins and ends with a zone.
  static constexpr std::uint64_t kZone = 256;  ///< a kernel a vector or two off stays inside
  const std::vector<Range> &zones(std::uint32_t slot) const { return zones_[slot]; }
  /// Where a byte of a tensor in a named slot is now.
  std::uint64_t moved(graph::Slot slot, std::uint64_t offset) const;

 private:
  struct Island {  // tensors that share storage
    std::uint32_t slot;
    Range was;
    std::uint64_t now;
  };

  std::vector<std::uint32_t> find_islands();

  std::vector<calm_slot> slots_;
  std::vector<calm_tensor> tensors_;
  std::vector<Island> islands_;
  std::vector<std::vector<Range>> zones_;
  calm_program table_;
};

}  // namespace calm::conformance
