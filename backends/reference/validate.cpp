#include "validate.hpp"

#include <calm/cpp/value.hpp>

#include <bit>

#include "device.hpp"

namespace calm::reference {
namespace {

[[noreturn]] void refuse(const std::string &message) {
  throw Error(CALM_INVALID_ARGUMENT, "program: " + message);
}

void expect(bool holds, const char *kind, std::uint32_t index, const char *message) {
  if (!holds) {
    refuse(std::string(kind) + " " + std::to_string(index) + ": expected " + message);
  }
}

template <class Record>
void check_table(const calm_table &table, const char *name) {
  if (table.count == 0) {
    return;
  }
  if (table.base == nullptr || table.stride < sizeof(Record) ||
      table.stride % alignof(Record) != 0) {
    refuse(std::string(name) + ": expected records of " + std::to_string(sizeof(Record)) +
           " bytes or more, found a stride of " + std::to_string(table.stride));
  }
}

bool inside(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

bool readable(const calm_str &text) { return text.data != nullptr || text.len == 0; }

void check_tensor(const calm_program &program, std::uint32_t i) {
  const auto &tensor = record<calm_tensor>(program.tensors, i);
  constexpr const char *kKind = "tensor";
  expect(readable(tensor.name), kKind, i, "a readable name");
  expect(tensor.type.rank <= CALM_MAX_RANK, kKind, i, "at most 8 axes");
  expect(tensor.role <= CALM_ROLE_STEP, kKind, i, "a known role");
  const std::uint64_t element = dtype_bytes(tensor.type.dtype);
  expect(element != 0, kKind, i, "a known dtype");
  const std::uint64_t bytes = checked_bytes(tensor.type);
  expect(tensor.bytes >= bytes, kKind, i, "room for all of its elements");
  expect(tensor.offset % element == 0, kKind, i, "a naturally aligned offset");
  expect(tensor.view_of == CALM_NONE || tensor.view_of < program.tensors.count, kKind, i,
         "view_of to be a tensor");
  expect(tensor.updates == CALM_NONE || tensor.updates < program.tensors.count, kKind, i,
         "updates to be a tensor");
  if (tensor.role == CALM_ROLE_CONST) {
    expect(inside(tensor.offset, tensor.bytes, program.constant_bytes), kKind, i,
           "to lie inside the constants");
  } else if (tensor.role == CALM_ROLE_STEP) {
    expect(bytes == element && (element == 4 || element == 8), kKind, i,
           "a step value of 4 or 8 bytes");
    expect(inside(tensor.offset, tensor.bytes, program.step_bytes), kKind, i,
           "to lie inside the step block");
  } else {
    expect(tensor.slot < program.slots.count, kKind, i, "an existing slot");
    expect(inside(tensor.offset, tensor.bytes, record<calm_slot>(program.slots, tensor.slot).bytes),
           kKind, i, "to lie inside its slot");
  }
}

void check_node(const calm_program &program, std::uint32_t i) {
  const auto &node = record<calm_node>(program.nodes, i);
  constexpr const char *kKind = "node";
  expect(readable(node.op) && readable(node.origin), kKind, i, "readable names");
  expect(inside(node.first_in, node.n_in, program.operands.count), kKind, i,
         "inputs inside the operand table");
  expect(inside(node.first_out, node.n_out, program.operands.count), kKind, i,
         "outputs inside the operand table");
  expect(inside(node.first_attr, node.n_attr, program.attrs.count), kKind, i,
         "attributes inside their table");
  for (std::uint32_t k = 0; k < node.n_in; ++k) {
    const auto id = record<std::uint32_t>(program.operands, node.first_in + k);
    expect(id == CALM_NONE || id < program.tensors.count, kKind, i, "inputs to be tensors");
  }
  for (std::uint32_t k = 0; k < node.n_out; ++k) {
    const auto id = record<std::uint32_t>(program.operands, node.first_out + k);
    expect(id == CALM_NONE || id < program.tensors.count, kKind, i, "outputs to be tensors");
    if (id != CALM_NONE) {
      const calm_role role = record<calm_tensor>(program.tensors, id).role;
      expect(role != CALM_ROLE_CONST && role != CALM_ROLE_STEP, kKind, i,
             "outputs that can be written");
    }
  }
}

}  // namespace

std::uint64_t checked_bytes(const calm_type &type) {
  std::uint64_t bytes = dtype_bytes(type.dtype);
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    if (type.shape[i] < 0 ||
        __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(type.shape[i]), &bytes)) {
      refuse("expected extents that multiply to a size, found " + describe(type));
    }
  }
  return bytes;
}

void validate(const calm_program *program) {
  if (program == nullptr || program->size < sizeof(calm_program) || program->schema != 1) {
    refuse("expected schema 1 of this ABI");
  }
  check_table<calm_slot>(program->slots, "slots");
  check_table<calm_tensor>(program->tensors, "tensors");
  check_table<calm_node>(program->nodes, "nodes");
  check_table<std::uint32_t>(program->operands, "operands");
  check_table<calm_value>(program->attrs, "attributes");
  if (program->constant_bytes != 0 && program->constants == nullptr) {
    refuse("expected constants, found nothing");
  }
  for (std::uint32_t i = 0; i < program->slots.count; ++i) {
    const auto &slot = record<calm_slot>(program->slots, i);
    expect(readable(slot.name), "slot", i, "a readable name");
    expect(std::has_single_bit(slot.align) && slot.align <= kBufferAlign, "slot", i,
           "an alignment that is a power of two up to 256");
  }
  for (std::uint32_t i = 0; i < program->tensors.count; ++i) {
    check_tensor(*program, i);
  }
  for (std::uint32_t i = 0; i < program->nodes.count; ++i) {
    check_node(*program, i);
  }
}

}  // namespace calm::reference
