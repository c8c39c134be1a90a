#include "core/run/stage.hpp"

#include <utility>

#include <calm/cpp/error.hpp>

namespace calm::run {

using graph::Slot;

Stage::Stage(Session &session, graph::Graph graph, const SlotBuffers &shared) {
  SlotBuffers buffers = shared;
  std::unique_ptr<graph::Program> program = session.plan(std::move(graph));
  const auto make = [&](Slot slot, Buffer &own) {
    if (slot_of(buffers, slot) == nullptr && program->slot_bytes(slot) > 0) {
      own = Buffer(session, program->slot_bytes(slot));
      slot_of(buffers, slot) = &own;
    }
  };
  make(Slot::kInput, input_);
  make(Slot::kOutput, output_);
  make(Slot::kState, state_);
  bound_ = session.compile(std::move(program), buffers);
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
