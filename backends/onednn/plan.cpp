#include "onednn/plan.hpp"

#include <calm/cpp/value.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "onednn/nodes.hpp"
#include "onednn/schedule.hpp"
#include "onednn/storage.hpp"

namespace calm::onednn {
namespace {

/// Worth a shard of its own.
constexpr std::size_t kShardRows = 24;
constexpr std::size_t kMostShards = 16;
/// Accumulators of all shards together; fewer shards rather than more, but never fewer than these.
constexpr std::size_t kMostSumBytes = std::size_t{48} << 20;
constexpr std::size_t kFewestShards = 4;
/// Elements of a row that make a block of plain rows.
constexpr std::size_t kBlockElements = 8192;

class Planner {
 public:
  Planner(const ProgramInfo &info, Products *products)
      : info_(info), products_(products), storage_(info, plan_) {
    for (const NodeInfo &node : info.nodes) {
      if (node.offsets != CALM_NONE && node.tokens) {
        one_offsets_ = ragged_ == nullptr || (one_offsets_ && ragged_->offsets == node.offsets);
        ragged_ = &node;
      }
    }
  }

  Plan make() {
    const Schedule order = schedule(info_);
    storage_.place_outside(order);
    for (const Group &group : order.prologue) {
      emit(group, plan_.prologue);
    }
    for (const Group &group : order.groups) {
      emit(group, plan_.steps);
    }
    storage_.finish();
    plan_.products_at = (plan_.worker_bytes + 63) / 64 * 64;
    if (product_scratch_ != 0) {
      plan_.worker_bytes = plan_.products_at + product_scratch_;
      plan_.products = products_->name();
    }
    return std::move(plan_);
  }

 private:
  void emit(const Group &group, std::vector<Step> &steps) {
    if (!group.segment) {
      const NodeInfo &info = info_.nodes[group.nodes[0]];
      Plain plain{info.node, {}};
      for (const std::uint32_t id : info.operands) {
        plain.places.push_back(storage_.place(id));
      }
      plan_.scratch_bytes = std::max<std::uint64_t>(plan_.scratch_bytes, plain.node.scratch);
      steps.push_back({Step::Kind::kPlain, static_cast<std::uint32_t>(plan_.plains.size())});
      plan_.plains.push_back(std::move(plain));
      return;
    }
    Segment segment = shape_of(group);
    for (Pass &pass : passes_of(group)) {
      segment.passes.push_back(std::move(pass));
    }
    storage_.place_inside(segment);
    add_packs(group, segment, steps);
    add_products(segment);
    add_tails(segment);
    steps.push_back({Step::Kind::kSegment, static_cast<std::uint32_t>(plan_.segments.size())});
    plan_.segments.push_back(std::move(segment));
  }

  /// How a segment is cut into shards and blocks.
  Segment shape_of(const Group &group) const {
    Segment segment;
    std::size_t widest = 1;
    std::size_t sums = 0;
    for (const std::uint32_t index : group.nodes) {
      const NodeInfo &node = info_.nodes[index];
      segment.rows = node.rows;
      if (node.offsets != CALM_NONE) {
        segment.by_sequence = true;
        set_offsets(node, segment);
      }
      for (std::size_t k = 0; k < node.operands.size(); ++k) {
        if (node.axes[k] == Axis::kRows && node.type(k).dtype != 0) {
          widest = std::max(widest, record_elements(node.type(k), Axis::kRows));
        }
        if (node.is_sum(k) && node.type(k).dtype != 0) {
          sums += count(node.type(k)) * sizeof(double);
        }
      }
    }
    const NodeInfo &any = info_.nodes[group.nodes[0]];
    if (!segment.by_sequence && any.tokens && one_offsets_ && any.rows == ragged_->rows) {
      set_offsets(*ragged_, segment);
    }
    const std::size_t most =
        sums == 0 ? 2 * kMostShards : std::clamp(kMostSumBytes / sums, kFewestShards, kMostShards);
    if (segment.by_sequence) {
      segment.most_shards = std::clamp<std::size_t>(segment.rows / kShardRows, 1, most);
      const auto longest =
          static_cast<std::size_t>(std::max<std::int64_t>(info_.program->longest, 1));
      const std::size_t even = segment.rows / segment.most_shards + 1;
      segment.most_rows = std::min(segment.rows, even + std::min(longest, segment.rows));
    } else {
      segment.block = std::max(kChunk, kBlockElements / widest / kChunk * kChunk);
      segment.most_shards =
          std::clamp<std::size_t>((segment.rows + segment.block - 1) / segment.block, 1, most);
      segment.most_rows = segment.rows;
    }
    return segment;
  }

  void set_offsets(const NodeInfo &node, Segment &segment) const {
    segment.offsets = storage_.place(node.offsets);
    segment.sequences = static_cast<std::size_t>(info_.tensor(node.offsets).type.shape[0]) - 1;
  }

  /// Nodes that want their blocks in opposite orders are in different passes, and so is a node that
  /// goes down the rows from what makes the rows before a block's, which it reads.
  std::vector<Pass> passes_of(const Group &group) const {
    std::vector<Pass> passes(1);
    Order order = Order::kAny;
    std::vector<std::uint32_t> made;  // in this pass
    for (const std::uint32_t index : group.nodes) {
      const NodeInfo &node = info_.nodes[index];
      const Order wanted = node.kernel->order;
      bool unfinished = false;
      for (std::size_t k = 0; wanted == Order::kDescending && k < node.inputs(); ++k) {
        unfinished =
            unfinished || (((node.kernel->reaches >> k) & 1U) != 0 &&
                           std::find(made.begin(), made.end(), node.operands[k]) != made.end());
      }
      if (unfinished || (wanted != Order::kAny && order != Order::kAny && wanted != order)) {
        passes.emplace_back();
        made.clear();
        order = Order::kAny;
      }
      made.insert(made.end(), node.operands.begin() + static_cast<std::ptrdiff_t>(node.inputs()),
                  node.operands.end());
      order = wanted == Order::kAny ? order : wanted;
      passes.back().descending = order == Order::kDescending;
      Item item;
      item.number = index;
      item.node = node.node;
      item.kernel = node.kernel;
      passes.back().items.push_back(std::move(item));
    }
    return passes;
  }

  void add_packs(const Group &group, Segment &segment, std::vector<Step> &steps) {
    for (const std::uint32_t index : group.nodes) {
      const NodeInfo &node = info_.nodes[index];
      if (node.packed == CALM_NONE) {
        continue;
      }
      const std::uint32_t number = pack_of(node, steps);
      for (Pass &pass : segment.passes) {
        for (Item &item : pass.items) {
          if (item.number == index) {
            item.places[node.packed] = {Place::In::kPack, Axis::kWhole, number, 0, 0};
          }
        }
      }
    }
  }

  /// Primitives of oneDNN, with one scratch memory a worker for all of them.
  void add_products(Segment &segment) {
    for (Pass &pass : segment.passes) {
      for (Item &item : pass.items) {
        if (info_.nodes[item.number].onednn) {
          item.product = products_->product(item.node);
          product_scratch_ = std::max<std::uint64_t>(product_scratch_, item.product->scratch());
        }
      }
    }
  }

  std::uint32_t pack_of(const NodeInfo &node, std::vector<Step> &steps) {
    const std::uint32_t id = node.operands[node.packed];
    PackShape shape = pack_shape(node.node);
    shape.type = node.onednn && products_->bf16() ? WeightType::kBf16 : node.weights;
    shape.onednn = node.onednn;
    const bool weights =
        info_.tensor(id).role == CALM_ROLE_PARAM && info_.tensors[id].maker == CALM_NONE;
    const auto number = static_cast<std::uint32_t>(plan_.packs.size());
    Pack pack{shape, storage_.place(id), weights, 0,
              node.onednn ? products_->packer(shape) : nullptr};
    if (weights) {
      const auto [at, added] = weight_packs_.try_emplace({id, shape}, number);
      if (!added) {
        return at->second;
      }
      plan_.prologue.push_back({Step::Kind::kPack, number});
    } else {
      pack.offset = storage_.take_shared(pack.bytes());
      steps.push_back({Step::Kind::kPack, number});
    }
    plan_.packs.push_back(pack);
    return number;
  }
  /// Values others read must be finite in dead rows, which no shard visits.
  void add_tails(Segment &segment) const {
    if (segment.offsets.in == Place::In::kNothing) {
      return;
    }
    for (const Pass &pass : segment.passes) {
      for (const Item &item : pass.items) {
        for (std::size_t k = item.node.ins.size(); k < item.places.size(); ++k) {
          const Place &place = item.places[k];
          const bool outside = place.in == Place::In::kSlot || place.in == Place::In::kShared;
          if (outside && (place.axis == Axis::kRows || place.axis == Axis::kChunks)) {
            segment.tails.push_back(
                {place, record_elements(item.node.outs[k - item.node.ins.size()], place.axis)});
          }
        }
      }
    }
  }

  const ProgramInfo &info_;
  const NodeInfo *ragged_ = nullptr;  ///< a node over sequences of tokens
  bool one_offsets_ = false;          ///< all of them are over the same sequences
  Products *products_;
  std::uint64_t product_scratch_ = 0;
  Plan plan_;
  Storage storage_;
  std::map<std::pair<std::uint32_t, PackShape>, std::uint32_t> weight_packs_;
};

}  // namespace

Plan make_plan(const calm_program &program, Level level, WeightType weights, Products *products) {
  const ProgramInfo info = inspect(program, level, weights, products);
  Plan plan = Planner(info, products).make();
  plan.fused += info.fused;
  plan.step_bytes = program.step_bytes;
  for (std::uint32_t i = 0; i < program.slots.count; ++i) {
    const auto &slot = record<calm_slot>(program.slots, i);
    plan.slot_bytes.push_back(slot.bytes);
    plan.slot_names.push_back(copy(slot.name));
  }
  for (const NodeInfo &node : info.nodes) {
    for (std::size_t k = 0; node.prologue && k < node.inputs(); ++k) {
      const std::uint32_t id = node.operands[k];
      if (id != CALM_NONE && info.tensor(id).role == CALM_ROLE_PARAM) {
        plan.read_weights.push_back(info.tensor(id).slot);
      }
    }
    for (std::size_t k = node.inputs(); k < node.operands.size(); ++k) {
      const std::uint32_t id = node.operands[k];
      if (id != CALM_NONE && info.tensor(id).role == CALM_ROLE_PARAM) {
        plan.written_weights.push_back(info.tensor(id).slot);
      } else if (id != CALM_NONE && info.tensor(id).updates != CALM_NONE &&
                 info.tensor(info.tensor(id).updates).role == CALM_ROLE_PARAM) {
        plan.written_weights.push_back(info.tensor(info.tensor(id).updates).slot);
      }
    }
  }
  for (std::vector<std::uint32_t> *slots : {&plan.read_weights, &plan.written_weights}) {
    std::sort(slots->begin(), slots->end());
    slots->erase(std::unique(slots->begin(), slots->end()), slots->end());
  }
  return plan;
}

}  // namespace calm::onednn
