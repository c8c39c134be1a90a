#include "executable.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "device.hpp"
#include "kernel_table.hpp"
#include "program.hpp"
#include "validate.hpp"

namespace calm::reference {
namespace {

std::string dump_of(const calm_executable &executable, calm_str name, Level level) {
  std::string text = "program " + copy(name) + ": " + std::to_string(executable.nodes.size()) +
                     " nodes, scratch " + std::to_string(executable.scratch_bytes) + " bytes, " +
                     level_name(level) + "\n";
  for (const Node &node : executable.nodes) {
    text += line_of(node);
  }
  return text;
}

}  // namespace

calm_executable *compile(calm_session &session, const calm_program *program, calm_table options) {
  refuse_options(options);
  validate(program);
  auto executable = std::make_unique<calm_executable>();
  for (std::uint32_t i = 0; i < program->slots.count; ++i) {
    const auto &slot = record<calm_slot>(program->slots, i);
    executable->slot_bytes.push_back(slot.bytes);
    executable->slot_names.push_back(copy(slot.name));
  }
  for (std::uint32_t i = 0; i < program->nodes.count; ++i) {
    Node node = copy_node(*program, i);
    try {
      resolve(node);
    } catch (const Error &e) {
      throw about(node, e);
    }
    node.first = executable->places.size();
    add_places(*program, i, executable->places);
    executable->scratch_bytes = std::max<std::uint64_t>(executable->scratch_bytes, node.scratch);
    executable->nodes.push_back(std::move(node));
  }
  executable->constants = HostMemory(session.host, program->constant_bytes, kBufferAlign);
  if (program->constant_bytes != 0) {
    std::memcpy(executable->constants.data(), program->constants,
                static_cast<std::size_t>(program->constant_bytes));
  }
  executable->step_bytes = program->step_bytes;
  executable->dump = dump_of(*executable, program->name, session.level);
  if (session.scratch.bytes() < executable->scratch_bytes) {
    session.scratch = HostMemory(session.host, executable->scratch_bytes, kBufferAlign);
  }
  return executable.release();
}

calm_binding *bind(calm_session &session, const calm_executable &executable,
                   calm_buffer *const *buffers, std::uint32_t count) {
  check_buffers(session, executable.slot_bytes, executable.slot_names, buffers, count);
  auto binding = std::make_unique<calm_binding>();
  binding->executable = &executable;
  binding->step = HostMemory(session.host, executable.step_bytes, kBufferAlign);
  for (const Place &place : executable.places) {
    std::byte *base = nullptr;
    switch (place.in) {
      case Place::In::kNothing:
        break;
      case Place::In::kSlot:
        base = buffers[place.slot] == nullptr ? nullptr : buffers[place.slot]->memory.data();
        break;
      case Place::In::kConstants:
        base = executable.constants.data();
        break;
      case Place::In::kStep:
        base = binding->step.data();
        break;
    }
    binding->operands.push_back(base == nullptr ? nullptr : base + place.offset);
  }
  return binding.release();
}

std::uint64_t run(calm_session &session, calm_binding &binding, const void *step_values,
                  std::uint64_t bytes) {
  if (bytes != binding.step.bytes()) {
    throw Error(CALM_INVALID_ARGUMENT, "expected " + std::to_string(binding.step.bytes()) +
                                           " bytes of step values, found " + std::to_string(bytes));
  }
  if (bytes != 0) {
    std::memcpy(binding.step.data(), step_values, static_cast<std::size_t>(bytes));
  }
  for (const Node &node : binding.executable->nodes) {
    node.run(Call(node, binding.operands.data() + node.first, session.scratch.data(), session.host,
                  session.level));
  }
  return ++session.fence;
}

}  // namespace calm::reference
