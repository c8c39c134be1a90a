#include "onednn/executable.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include "reference/device.hpp"
#include "reference/program.hpp"
#include "reference/validate.hpp"

namespace calm::onednn {
namespace {

/// Columns of a matrix that one task packs.
std::size_t pack_columns(const PackShape &shape) { return 4 * shape.panel(); }

struct Packing {
  const PackShape *shape;
  const float *from;
  std::byte *to;
};

void run_packing(void *context, std::uint32_t part) {
  const Packing &p = *static_cast<const Packing *>(context);
  const std::size_t columns = pack_columns(*p.shape);
  const std::size_t first = part * columns;
  pack(*p.shape, p.from, first, std::min(first + columns, p.shape->n), p.to);
}

void run_pack(Session &session, const calm_binding &binding, std::uint32_t number) {
  const Pack &pack = binding.executable->plan.packs[number];
  const std::byte *base = nullptr;
  switch (pack.from.in) {
    case Place::In::kSlot:
      base = binding.buffers[pack.from.slot]->memory.data();
      break;
    case Place::In::kShared:
      base = session.scratch.data();
      break;
    case Place::In::kKept:
      base = binding.kept.data();
      break;
    default:
      base = binding.executable->constants.data();
      break;
  }
  Packing packing{&pack.shape, reinterpret_cast<const float *>(base + pack.from.offset),
                  session.scratch.data() + pack.offset};
  if (pack.weights) {
    PackedWeights &packed = *binding.packed[number];
    const std::uint64_t version = binding.buffers[pack.from.slot]->version + 1;
    if (packed.version == version) {
      return;
    }
    packed.version = version;
    packing.to = packed.data;
  }
  if (pack.packer != nullptr) {
    pack.packer->pack(packing.from, packing.to);
    return;
  }
  const std::size_t columns = pack_columns(pack.shape);
  const std::size_t parts = (pack.shape.n + columns - 1) / columns;
  session.host.parallel_for(session.host.self, static_cast<std::uint32_t>(parts), run_packing,
                            &packing);
}

void run_step(Session &session, calm_binding &binding, const Step &step, std::byte *scratch) {
  switch (step.kind) {
    case Step::Kind::kSegment:
      run_segment(session, binding, step.index);
      break;
    case Step::Kind::kPack:
      run_pack(session, binding, step.index);
      break;
    case Step::Kind::kPlain: {
      const Node &node = binding.executable->plan.plains[step.index].node;
      node.run(reference::Call(node, binding.plain_operands[step.index].data(), scratch,
                               session.host, session.level));
      break;
    }
  }
}

std::uint64_t version_of_weights(const calm_binding &binding) {
  std::uint64_t version = 0;
  for (const calm_buffer *const buffer : binding.read_weights) {
    version += buffer->version;
  }
  return version;
}

/// The buffers that the prologue reads, once each: all parameters lie in one.
std::vector<const calm_buffer *> buffers_of_weights(const calm_binding &binding) {
  const Plan &plan = binding.executable->plan;
  std::vector<std::uint32_t> slots = plan.read_weights;
  for (const Pack &pack : plan.packs) {
    if (pack.weights) {
      slots.push_back(pack.from.slot);
    }
  }
  std::vector<const calm_buffer *> buffers;
  for (const std::uint32_t slot : slots) {
    const calm_buffer *const buffer = binding.buffers[slot];
    if (buffer != nullptr && std::find(buffers.begin(), buffers.end(), buffer) == buffers.end()) {
      buffers.push_back(buffer);
    }
  }
  return buffers;
}

/// Memory for packed weights, beside those taken before: together a small model's stay in the
/// second cache, where a page here and a page there displace each other.
std::shared_ptr<PackedWeights> take_packed(Session &session, std::uint64_t bytes) {
  constexpr std::uint64_t kChunkBytes = std::uint64_t{2} << 20;
  const std::uint64_t needed =
      (bytes + reference::kBufferAlign - 1) / reference::kBufferAlign * reference::kBufferAlign;
  if (session.chunk == nullptr || session.chunk->bytes() - session.chunk_used < needed) {
    session.chunk = std::make_shared<reference::HostMemory>(
        session.host, (needed + kChunkBytes - 1) / kChunkBytes * kChunkBytes,
        reference::kBufferAlign);
    session.chunk_used = 0;
  }
  auto packed = std::make_shared<PackedWeights>();
  packed->chunk = session.chunk;
  packed->data = session.chunk->data() + session.chunk_used;
  session.chunk_used += needed;
  return packed;
}

}  // namespace

calm_executable *compile(Session &session, const calm_program *program, calm_table options) {
  if (options.count != 0) {
    throw Error(CALM_INVALID_ARGUMENT, "compile: expected no option, found \"" +
                                           copy(record<calm_value>(options, 0).name) + "\"");
  }
  auto executable = std::make_unique<calm_executable>();
  executable->plan = make_plan(*program, session.level, session.weights, session.products.get());
  executable->constants =
      reference::HostMemory(session.host, program->constant_bytes, reference::kBufferAlign);
  if (program->constant_bytes != 0) {
    std::memcpy(executable->constants.data(), program->constants,
                static_cast<std::size_t>(program->constant_bytes));
  }
  executable->dump = dump(executable->plan, program->name, session.level);
  const Arena arena(executable->plan, session.host.threads);
  executable->arena_bytes = arena.bytes;
  executable->scratch_at = arena.scratch;
  if (session.scratch.bytes() < arena.bytes) {
    // The old memory stays until there is new: those who use it run on when there is none.
    reference::HostMemory larger(session.host, arena.bytes, reference::kBufferAlign);
    session.scratch = std::move(larger);
    for (calm_binding *const binding : session.bindings) {
      locate(session, *binding);
    }
  }
  return executable.release();
}

calm_binding *bind(Session &session, const calm_executable &executable, calm_buffer *const *buffers,
                   std::uint32_t count) {
  const Plan &plan = executable.plan;
  reference::check_buffers(session, plan.slot_bytes, plan.slot_names, buffers, count);
  auto binding = std::make_unique<calm_binding>();
  binding->executable = &executable;
  binding->buffers.assign(buffers, buffers + count);
  binding->step = reference::HostMemory(session.host, plan.step_bytes, reference::kBufferAlign);
  binding->kept = reference::HostMemory(session.host, plan.kept_bytes, reference::kBufferAlign);
  for (const Pack &pack : plan.packs) {
    std::shared_ptr<PackedWeights> packed;
    if (pack.weights) {
      std::shared_ptr<PackedWeights> &known =
          session.packed[{buffers[pack.from.slot], pack.from.offset, pack.shape}];
      if (known == nullptr) {
        known = take_packed(session, pack.bytes());
      }
      packed = known;
    }
    binding->packed.push_back(std::move(packed));
  }
  std::size_t most = 1;
  for (const Segment &segment : plan.segments) {
    most = std::max(most, segment.most_shards + 1);
  }
  binding->shards.reserve(most);
  binding->order.reserve(most);
  binding->read_weights = buffers_of_weights(*binding);
  locate(session, *binding);
  session.bindings.push_back(binding.get());
  return binding.release();
}

void unbind(Session &session, calm_binding *binding) {
  std::erase(session.bindings, binding);
  delete binding;
}

std::uint64_t run(Session &session, calm_binding &binding, const void *step_values,
                  std::uint64_t bytes) {
  const Plan &plan = binding.executable->plan;
  if (bytes != plan.step_bytes) {
    throw Error(CALM_INVALID_ARGUMENT, "expected " + std::to_string(plan.step_bytes) +
                                           " bytes of step values, found " + std::to_string(bytes));
  }
  if (bytes != 0) {
    std::memcpy(binding.step.data(), step_values, static_cast<std::size_t>(bytes));
  }
  std::byte *const scratch = session.scratch.data() + binding.executable->scratch_at;
  const std::uint64_t version = version_of_weights(binding);
  if (!plan.prologue.empty() && binding.weights_version != version) {
    for (const Step &step : plan.prologue) {
      run_step(session, binding, step, scratch);
    }
    binding.weights_version = version;
  }
  for (const Step &step : plan.steps) {
    run_step(session, binding, step, scratch);
  }
  for (const std::uint32_t slot : plan.written_weights) {
    ++binding.buffers[slot]->version;
  }
  return ++session.fence;
}

}  // namespace calm::onednn
