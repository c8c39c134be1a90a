#include "program.hpp"

#include <calm/random.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <string_view>

#include "kernel_table.hpp"
#include "validate.hpp"

namespace calm::reference {
namespace {

/// The types of `n` operands of a node from `first` on.
std::vector<calm_type> types_of(const calm_program &program, std::uint32_t first, std::uint32_t n) {
  std::vector<calm_type> types(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto id = record<std::uint32_t>(program.operands, first + i);
    if (id != CALM_NONE) {
      types[i] = record<calm_tensor>(program.tensors, id).type;
    }
  }
  return types;
}

}  // namespace

Node copy_node(const calm_program &program, std::uint32_t index) {
  const auto &source = record<calm_node>(program.nodes, index);
  Node node;
  node.index = index;
  node.op = copy(source.op);
  node.revision = source.revision;
  node.origin = copy(source.origin);
  node.stream = calm_stream_id(source.origin);
  node.ins = types_of(program, source.first_in, source.n_in);
  node.outs = types_of(program, source.first_out, source.n_out);
  for (std::uint32_t i = 0; i < source.n_attr; ++i) {
    calm_value attr = record<calm_value>(program.attrs, source.first_attr + i);
    attr.name = {};
    attr.str = {};
    node.attrs.push_back(attr);
  }
  return node;
}

std::string list_of(const std::vector<calm_type> &types) {
  std::string text;
  for (const calm_type &type : types) {
    text += text.empty() ? "" : " ";
    text += type.dtype == 0 ? std::string("-") : describe(type);
  }
  return text;
}

void judge_nodes(const calm_program *program, calm_verdict *out_verdicts) {
  validate(program);
  for (std::uint32_t i = 0; i < program->nodes.count; ++i) {
    Node node = copy_node(*program, i);
    calm_verdict &verdict = out_verdicts[i];
    verdict = {};
    verdict.supported = 1;
    try {
      resolve(node);
    } catch (const Error &e) {
      if (e.status() != CALM_UNSUPPORTED) {
        throw NodeError(e.status(), "node " + std::to_string(i) + " (" + node.op + "): " + e.what(),
                        i);
      }
      verdict.supported = 0;
      std::string_view(e.what()).copy(verdict.reason, sizeof verdict.reason - 1);
    }
  }
}

void check_buffers(const calm_session &session, const std::vector<std::uint64_t> &slot_bytes,
                   const std::vector<std::string> &slot_names, calm_buffer *const *buffers,
                   std::uint32_t count) {
  if (count != slot_bytes.size()) {
    throw Error(CALM_INVALID_ARGUMENT, "expected " + std::to_string(slot_bytes.size()) +
                                           " buffers, found " + std::to_string(count));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t needed = slot_bytes[i];
    const bool right = buffers[i] == nullptr ? needed == 0
                                             : buffers[i]->session == &session &&
                                                   buffers[i]->memory.bytes() >= needed;
    if (!right) {
      throw Error(CALM_INVALID_ARGUMENT, "slot " + slot_names[i] +
                                             ": expected a buffer of this session of " +
                                             std::to_string(needed) + " bytes or more");
    }
  }
}

}  // namespace calm::reference
