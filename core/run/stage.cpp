#include "core/run/stage.hpp"

#include <algorithm>

#include <calm/cpp/error.hpp>

namespace calm::run {

using graph::Slot;

Stage::Stage(Session &session, graph::Graph graph, const SlotBuffers &shared) {
  SlotBuffers buffers = shared;
  {
    // Sizes of the named slots; lowering changes temporaries only.
    graph.eliminate_dead_code();
    const graph::Program plan(graph);
    const auto make = [&](Slot slot, Buffer &own) {
      if (slot_of(buffers, slot) == nullptr && plan.slot_bytes(slot) > 0) {
        own = Buffer(session, plan.slot_bytes(slot));
        slot_of(buffers, slot) = &own;
      }
    };
    make(Slot::kInput, input_);
    make(Slot::kOutput, output_);
    make(Slot::kState, state_);
  }
  bound_ = session.compile(std::move(graph), buffers);
}

void Stage::write_bytes(std::string_view name, const void *src, std::uint64_t bytes) {
  const graph::Binding &b = binding(Slot::kInput, name);
  if (b.bytes != bytes) {
    throw Error(CALM_INTERNAL, "input " + b.name + ": expected " + std::to_string(b.bytes) +
                                   " bytes, found " + std::to_string(bytes));
  }
  input_.write(b.offset, src, bytes);
}

}  // namespace calm::run
