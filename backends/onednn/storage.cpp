#include "onednn/storage.hpp"

#include <calm/ops/columns.h>

#include <calm/cpp/value.hpp>

#include <algorithm>

namespace calm::onednn {
namespace {

constexpr std::size_t kAlign = 64;
std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

/// Something that needs bytes from one time to another.
struct Life {
  std::size_t first, last, bytes;
  std::size_t offset = 0;
};

/// The largest first, each at the lowest offset where nothing lies that lives at the same time.
/// Returns the bytes in all.
std::size_t lay_out(std::vector<Life> &lives) {
  std::vector<Life *> order;
  for (Life &life : lives) {
    order.push_back(&life);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Life *a, const Life *b) { return a->bytes > b->bytes; });
  std::vector<const Life *> placed;  // by offset
  std::size_t all = 0;
  for (Life *const life : order) {
    for (const Life *const other : placed) {
      if (other->last < life->first || life->last < other->first) {
        continue;
      }
      if (life->offset + life->bytes <= other->offset) {
        break;
      }
      life->offset = std::max(life->offset, other->offset + other->bytes);
    }
    all = std::max(all, life->offset + life->bytes);
    placed.insert(std::find_if(placed.begin(), placed.end(),
                               [&](const Life *o) { return o->offset > life->offset; }),
                  life);
  }
  return all;
}

}  // namespace

/// A value as one segment sees it.
struct Storage::Value {
  bool seen = false, local = false, reached = false;
  Axis axis = Axis::kWhole;
  std::uint32_t base = CALM_NONE;  ///< of which it is a view
  std::size_t column = 0;          ///< its first in the base
  std::size_t width = 0;           ///< elements of a record
  std::size_t first_pass = 0, last_pass = 0, first_item = 0, last_item = 0;

  void use(std::size_t pass, std::size_t item) {
    first_pass = seen ? std::min(first_pass, pass) : pass;
    last_pass = seen ? std::max(last_pass, pass) : pass;
    first_item = seen ? std::min(first_item, item) : item;
    last_item = seen ? std::max(last_item, item) : item;
    seen = true;
  }
};

std::uint64_t Storage::take_shared(std::uint64_t bytes) {
  const std::uint64_t offset = plan_.shared_bytes;
  plan_.shared_bytes += aligned(bytes);
  return offset;
}

void Storage::finish() {
  const std::uint64_t at = take_shared(sum_bytes_);
  for (Segment &segment : plan_.segments) {
    segment.sums_at = at;
  }
}

bool Storage::inside_only(std::uint32_t tensor, const std::vector<std::uint32_t> &group_of,
                          std::uint32_t group) const {
  const TensorInfo &t = info_.tensors[tensor];
  const auto by_rows = [&](const NodeInfo &node) {
    for (std::size_t k = 0; k < node.operands.size(); ++k) {
      if (node.operands[k] == tensor &&
          (node.axes[k] == Axis::kWhole || node.axes[k] == Axis::kSequences || node.is_sum(k))) {
        return false;
      }
    }
    return true;
  };
  if (!t.plain_temporary || t.maker == CALM_NONE || group_of[t.maker] != group ||
      !by_rows(info_.nodes[t.maker])) {
    return false;
  }
  return std::all_of(t.users.begin(), t.users.end(), [&](std::uint32_t user) {
    return group_of[user] == group && by_rows(info_.nodes[user]);
  });
}

void Storage::place_outside(const Schedule &schedule) {
  std::vector<std::uint32_t> group_of(info_.nodes.size(), CALM_NONE);
  for (std::uint32_t g = 0; g < schedule.groups.size(); ++g) {
    for (const std::uint32_t node : schedule.groups[g].nodes) {
      group_of[node] = g;
    }
  }
  std::vector<Life> lives;
  std::vector<std::uint32_t> tensor_of;
  for (std::uint32_t id = 0; id < places_.size(); ++id) {
    const calm_tensor &tensor = info_.tensor(id);
    const TensorInfo &t = info_.tensors[id];
    Place &place = places_[id];
    if (tensor.role == CALM_ROLE_CONST) {
      place = {Place::In::kConstants, Axis::kWhole, 0, tensor.offset, 0};
    } else if (tensor.role == CALM_ROLE_STEP) {
      place = {Place::In::kStep, Axis::kWhole, 0, tensor.offset, 0};
    } else if (!t.plain_temporary || t.maker == CALM_NONE) {
      place = {Place::In::kSlot, Axis::kWhole, tensor.slot, tensor.offset, 0};
    } else if (info_.nodes[t.maker].prologue) {
      place = {Place::In::kKept, Axis::kWhole, 0, plan_.kept_bytes, 0};
      plan_.kept_bytes += aligned(tensor.bytes);
    } else {
      const std::uint32_t group = group_of[t.maker];
      local_[id] = schedule.groups[group].segment && inside_only(id, group_of, group);
      if (!local_[id]) {
        Life life{group, group, aligned(tensor.bytes)};
        for (const std::uint32_t user : t.users) {
          life.last = std::max<std::size_t>(life.last, group_of[user]);
        }
        lives.push_back(life);
        tensor_of.push_back(id);
      }
    }
  }
  plan_.shared_bytes = lay_out(lives);
  for (std::size_t i = 0; i < lives.size(); ++i) {
    places_[tensor_of[i]] = {Place::In::kShared, Axis::kWhole, 0, lives[i].offset, 0};
  }
}

Place Storage::place(std::uint32_t tensor) const {
  return tensor == CALM_NONE ? Place{} : places_[tensor];
}

std::vector<Storage::Value> Storage::values_of(const Segment &segment) {
  std::vector<Value> values(places_.size());
  std::size_t position = 0;
  for (std::size_t p = 0; p < segment.passes.size(); ++p) {
    for (const Item &item : segment.passes[p].items) {
      const NodeInfo &node = info_.nodes[item.number];
      for (std::size_t k = 0; k < node.operands.size(); ++k) {
        const std::uint32_t id = node.operands[k];
        if (id == CALM_NONE || node.is_sum(k)) {
          continue;
        }
        Value &value = values[id];
        value.use(p, position);
        value.axis = node.axes[k];
        value.width = record_elements(node.type(k), node.axes[k]);
        value.local = local_[id];
        value.reached =
            value.reached || (k < node.inputs() && ((node.kernel->reaches >> k) & 1U) != 0);
      }
      ++position;
    }
  }
  return values;
}

bool Storage::splits_into_views(const NodeInfo &node, const std::vector<Value> &values) const {
  return std::all_of(node.operands.begin() + 1, node.operands.end(),
                     [&](std::uint32_t out) { return out == CALM_NONE || values[out].local; });
}

bool Storage::joins_views(const NodeInfo &node, const std::vector<Value> &values) const {
  return std::all_of(node.operands.begin(),
                     node.operands.begin() + static_cast<std::ptrdiff_t>(node.inputs()),
                     [&](std::uint32_t in) {
                       return in != CALM_NONE && values[in].local && values[in].base == CALM_NONE &&
                              info_.tensors[in].users.size() == 1;
                     });
}

void Storage::make_views(Segment &segment, std::vector<Value> &values) {
  const auto become_views = [&](const NodeInfo &node, std::uint32_t base, std::size_t from,
                                std::size_t to) {
    std::size_t column = 0;
    for (std::size_t k = from; k < to; ++k) {
      if (node.operands[k] != CALM_NONE) {
        values[node.operands[k]].base = base;
        values[node.operands[k]].column = column;
      }
      // Of an absent part only the attribute says how wide it is.
      column += node.node.op == CALM_OP_SPLIT
                    ? static_cast<std::size_t>(node.node.attrs[k - from].i64)
                    : record_elements(node.type(k), Axis::kRows);
    }
  };
  for (Pass &pass : segment.passes) {
    std::erase_if(pass.items, [&](const Item &item) {
      const NodeInfo &node = info_.nodes[item.number];
      const std::size_t inputs = node.inputs();
      if (node.node.op == CALM_OP_SPLIT && splits_into_views(node, values)) {
        become_views(node, node.operands[0], 1, node.operands.size());
      } else if (node.node.op == CALM_OP_CONCAT && joins_views(node, values)) {
        become_views(node, node.operands[inputs], 0, inputs);
      } else {
        return false;
      }
      ++plan_.fused;
      return true;
    });
  }
  // What happens to a view happens to its base.
  for (std::uint32_t id = 0; id < values.size(); ++id) {
    std::uint32_t base = values[id].base;
    while (base != CALM_NONE) {
      Value &b = values[base];
      b.use(values[id].first_pass, values[id].first_item);
      b.use(values[id].last_pass, values[id].last_item);
      b.reached = b.reached || values[id].reached;
      base = b.base;
    }
  }
}

void Storage::place_local(Segment &segment, std::vector<Value> &values) {
  std::vector<Life> shard;
  std::vector<Life> block;
  std::vector<std::uint32_t> shard_ids;
  std::vector<std::uint32_t> block_ids;
  for (std::uint32_t id = 0; id < values.size(); ++id) {
    const Value &v = values[id];
    if (!v.seen || !v.local || v.base != CALM_NONE) {
      continue;
    }
    const bool stays = v.axis == Axis::kChunks || v.reached || v.first_pass != v.last_pass;
    const std::size_t records = v.axis == Axis::kChunks ? segment.most_rows / kChunk + 2
                                : stays                 ? segment.most_rows
                                        : std::min(segment.block, segment.most_rows);
    const std::size_t bytes = aligned(records * v.width * sizeof(float));
    if (stays) {
      shard.push_back({v.first_pass, v.last_pass, bytes});
      shard_ids.push_back(id);
    } else {
      block.push_back({v.first_item, v.last_item, bytes});
      block_ids.push_back(id);
    }
  }
  const std::size_t block_at = segment.worker_bytes;
  const std::size_t shard_at = block_at + lay_out(block);
  segment.worker_bytes = shard_at + lay_out(shard);
  for (std::size_t i = 0; i < block.size(); ++i) {
    const Value &v = values[block_ids[i]];
    places_[block_ids[i]] = {Place::In::kBlock, v.axis, 0, block_at + block[i].offset, v.width};
  }
  for (std::size_t i = 0; i < shard.size(); ++i) {
    const Value &v = values[shard_ids[i]];
    places_[shard_ids[i]] = {Place::In::kShard, v.axis, 0, shard_at + shard[i].offset, v.width};
  }
}

void Storage::place_sums(Segment &segment) {
  for (Pass &pass : segment.passes) {
    for (Item &item : pass.items) {
      const NodeInfo &node = info_.nodes[item.number];
      for (std::size_t k = node.inputs(); k < node.operands.size(); ++k) {
        if (!node.is_sum(k) || node.operands[k] == CALM_NONE) {
          continue;
        }
        Sum sum;
        sum.to = places_[node.operands[k]];
        sum.offset = segment.sum_bytes;
        sum.elements = count(node.type(k));
        sum.wide = ((node.kernel->wide >> (k - node.inputs())) & 1U) != 0;
        segment.sum_bytes += aligned(sum.elements * (sum.wide ? sizeof(double) : sizeof(float)));
        item.places[k] = {Place::In::kSum, Axis::kWhole, 0, sum.offset, 0};
        segment.sums.push_back(sum);
      }
    }
  }
  sum_bytes_ = std::max<std::uint64_t>(sum_bytes_, segment.sum_bytes * segment.most_shards);
}

void Storage::place_inside(Segment &segment) {
  std::vector<Value> values = values_of(segment);
  make_views(segment, values);
  std::size_t scratch = 0;
  for (Pass &pass : segment.passes) {
    for (Item &item : pass.items) {
      if (item.kernel->carry != nullptr) {
        item.carry = segment.worker_bytes;
        segment.worker_bytes += aligned(item.kernel->carry(item.node));
      }
      if (item.kernel->scratch != nullptr) {
        scratch = std::max(scratch, aligned(item.kernel->scratch(item.node)));
      }
    }
  }
  for (Pass &pass : segment.passes) {
    for (Item &item : pass.items) {
      item.scratch = segment.worker_bytes;
    }
  }
  segment.worker_bytes += scratch;
  place_local(segment, values);
  for (Pass &pass : segment.passes) {
    for (Item &item : pass.items) {
      const NodeInfo &node = info_.nodes[item.number];
      for (std::size_t k = 0; k < node.operands.size(); ++k) {
        const std::uint32_t id = node.operands[k];
        Place place;
        if (id != CALM_NONE) {
          std::uint32_t base = id;
          std::size_t column = 0;
          while (values[base].base != CALM_NONE) {
            column += values[base].column;
            base = values[base].base;
          }
          place = places_[base];
          place.axis = node.axes[k];
          place.stride =
              base == id ? record_elements(node.type(k), node.axes[k]) : values[base].width;
          place.stride = node.axes[k] == Axis::kWhole ? 0 : place.stride;
          place.offset += column * sizeof(float);
        }
        item.places.push_back(place);
      }
    }
  }
  place_sums(segment);
  plan_.worker_bytes = std::max<std::uint64_t>(plan_.worker_bytes, segment.worker_bytes);
}

}  // namespace calm::onednn
