#pragma once

#include <calm/program.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/graph.hpp"

namespace calm::graph {

/// A named range of a slot: how the host finds an input, an output or a state after planning.
struct Binding {
  std::string name;
  calm_type type{};
  Slot slot = Slot::kInput;
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t bytes = 0;
};

/// A planned program: the flat tables a backend compiles, and where the host finds its tensors.
class Program {
 public:
  /// Plans storage: inputs, outputs, states and metrics side by side, flat groups by the layout,
  /// temporaries into one reused workspace. Checks program rule 6 (writers after readers).
  explicit Program(const Graph &graph);

  const calm_program &table() const { return table_; }
  const Bucket &bucket() const { return bucket_; }
  std::uint64_t slot_bytes(Slot slot) const {
    return slots_[static_cast<std::uint32_t>(slot)].bytes;
  }
  const std::vector<StepValue> &step_values() const { return step_values_; }
  std::uint64_t step_bytes() const { return table_.step_bytes; }
  /// Inputs, outputs, states and metrics by name; CALM_INTERNAL when there is none.
  const Binding &binding(Slot slot, std::string_view name) const;
  const std::vector<Binding> &bindings() const { return bindings_; }
  /// Bytes all temporaries would take without reuse.
  std::uint64_t temporaries_bytes() const { return temporaries_bytes_; }
  /// One line a node: index, operator, operands with shape and place. For `--plan`.
  std::string dump() const;

 private:
  void place_tensors(const Graph &graph);
  void place_temporaries(const Graph &graph);
  void check_update_order(const Graph &graph) const;
  void write_tables(const Graph &graph);
  std::uint64_t hash(std::uint64_t basis) const;
  std::uint32_t index_of(std::uint32_t id) const { return id == CALM_NONE ? id : index_[id]; }

  std::string name_;
  Bucket bucket_;
  std::array<calm_slot, kSlots> slots_{};
  std::vector<std::unique_ptr<std::string>> texts_;  // what the records' views point to
  std::vector<std::uint32_t> index_;  // of a graph's tensor in tensors_, CALM_NONE when left out
  std::vector<calm_tensor> tensors_;
  std::vector<calm_node> nodes_;
  std::vector<std::uint32_t> operands_;
  std::vector<calm_value> attrs_;
  std::vector<std::uint64_t> constants_;  // 8-byte words: aligned storage of the constant data
  std::vector<StepValue> step_values_;
  std::vector<Binding> bindings_;
  std::uint64_t temporaries_bytes_ = 0;
  calm_program table_{};
};

}  // namespace calm::graph
