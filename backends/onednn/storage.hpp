// Where every value lies: in its slot, in memory of the run when it crosses steps, else in a
// worker's memory, a block or a shard of rows at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "onednn/nodes.hpp"
#include "onednn/plan.hpp"
#include "onednn/schedule.hpp"

namespace calm::onednn {

class Storage {
 public:
  Storage(const ProgramInfo &info, Plan &plan)
      : info_(info), plan_(plan), places_(info.tensors.size()) {}

  /// Decides for all values that more than one group sees.
  void place_outside(const Schedule &schedule);
  /// Where a value lies that some group sees as a whole.
  Place place(std::uint32_t tensor) const;
  /// Fills in the places of a segment's items and lays out its workers' memory. Splits and
  /// concatenations inside the segment become views and leave it.
  void place_inside(Segment &segment);
  /// Memory of the run.
  std::uint64_t take_shared(std::uint64_t bytes);
  /// Makes room for the accumulators of the largest segment.
  void finish();

 private:
  struct Value;
  std::vector<Value> values_of(const Segment &segment);
  void make_views(Segment &segment, std::vector<Value> &values);
  bool splits_into_views(const NodeInfo &node, const std::vector<Value> &values) const;
  bool joins_views(const NodeInfo &node, const std::vector<Value> &values) const;
  void place_local(Segment &segment, std::vector<Value> &values);
  void place_sums(Segment &segment);
  bool inside_only(std::uint32_t tensor, const std::vector<std::uint32_t> &group_of,
                   std::uint32_t group) const;

  const ProgramInfo &info_;
  Plan &plan_;
  std::vector<Place> places_;  // by tensor
  std::vector<bool> local_ = std::vector<bool>(places_.size());
  std::uint64_t sum_bytes_ = 0;
};

}  // namespace calm::onednn
