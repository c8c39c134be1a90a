#include <calm/cpp/value.hpp>

#include "onednn/plan.hpp"
#include "reference/device.hpp"
#include "reference/program.hpp"

namespace calm::onednn {
namespace {

std::string line(const Node &node) {
  return std::to_string(node.index) + " " + node.op + "/" + std::to_string(node.revision) + "  " +
         reference::list_of(node.ins) + " -> " + reference::list_of(node.outs) + "  " +
         node.origin + "\n";
}

const char *memory_of(const Place &place) {
  switch (place.in) {
    case Place::In::kBlock:
      return "b";
    case Place::In::kShard:
      return "s";
    case Place::In::kSum:
      return "+";
    case Place::In::kPack:
      return "p";
    case Place::In::kKept:
      return "k";
    case Place::In::kNothing:
      return "-";
    default:
      return "m";
  }
}

std::string text_of(const Segment &segment) {
  std::string text = "segment of " + std::to_string(segment.rows) + " rows, up to " +
                     std::to_string(segment.most_shards) +
                     (segment.by_sequence ? " shards of sequences" : " shards of rows") +
                     ", blocks of " + std::to_string(segment.block) + ", sums " +
                     std::to_string(segment.sum_bytes) + " bytes a shard, worker " +
                     std::to_string(segment.worker_bytes) + " bytes\n";
  for (const Pass &pass : segment.passes) {
    text += pass.descending ? "  blocks descending\n" : "  blocks ascending\n";
    for (const Item &item : pass.items) {
      std::string places;
      for (const Place &place : item.places) {
        places += memory_of(place);
      }
      text += "    [" + places + (item.product == nullptr ? "] " : "] oneDNN ") + line(item.node);
    }
  }
  return text;
}

std::string text_of(const Plan &plan, const std::vector<Step> &steps) {
  std::string text;
  for (const Step &step : steps) {
    switch (step.kind) {
      case Step::Kind::kSegment:
        text += text_of(plan.segments[step.index]);
        break;
      case Step::Kind::kPlain:
        text += "reference " + line(plan.plains[step.index].node);
        break;
      case Step::Kind::kPack: {
        const Pack &pack = plan.packs[step.index];
        const PackShape &shape = pack.shape;
        text += "pack " + std::to_string(shape.k) + " x " + std::to_string(shape.n) +
                (shape.transposed ? " transposed" : "") + ", " + std::to_string(pack.bytes()) +
                " bytes\n";
        break;
      }
    }
  }
  return text;
}

}  // namespace

// Operands by their memory: m of the program, b a block's rows, s a shard's, + a sum over rows,
// p packed, k kept from the prologue.
std::string dump(const Plan &plan, calm_str name, Level level) {
  return "program " + copy(name) + ": " + reference::level_name(level) + ", products " +
         plan.products + ", " + std::to_string(plan.fused) +
         " nodes became views or part of others, run " + std::to_string(plan.shared_bytes) +
         " bytes, each worker " + std::to_string(plan.worker_bytes) +
         " bytes\nprologue, when the weights changed\n" + text_of(plan, plan.prologue) +
         "each run\n" + text_of(plan, plan.steps);
}

}  // namespace calm::onednn
