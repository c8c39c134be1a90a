#include <calm/ops/matmul.h>

#include <calm/cpp/error.hpp>

#include <algorithm>

#include "onednn/executable.hpp"

namespace calm::onednn {
namespace {

constexpr std::uint64_t kAlign = 256;
std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

/// Addresses of one binding, for one worker.
class Locator {
 public:
  Locator(const Session &session, const calm_binding &binding, std::uint32_t worker)
      : binding_(binding), arena_(session.scratch.data()) {
    const Plan &plan = binding.executable->plan;
    const Arena layout(plan, session.host.threads);
    worker_ = arena_ + layout.workers + worker * aligned(plan.worker_bytes);
  }

  std::byte *address(const Place &place) const {
    switch (place.in) {
      case Place::In::kNothing:
      case Place::In::kSum:  // of a shard
        return nullptr;
      case Place::In::kSlot: {
        const calm_buffer *const buffer = binding_.buffers[place.slot];
        return buffer == nullptr ? nullptr : buffer->memory.data() + place.offset;
      }
      case Place::In::kConstants:
        return binding_.executable->constants.data() + place.offset;
      case Place::In::kStep:
        return binding_.step.data() + place.offset;
      case Place::In::kShared:
        return arena_ + place.offset;
      case Place::In::kKept:
        return binding_.kept.data() + place.offset;
      case Place::In::kShard:
      case Place::In::kBlock:
        return worker_ + place.offset;
      case Place::In::kPack: {
        const Pack &pack = binding_.executable->plan.packs[place.slot];
        return pack.weights ? binding_.packed[place.slot]->data : arena_ + pack.offset;
      }
    }
    return nullptr;
  }
  std::byte *worker() const { return worker_; }

  WorkerSegment segment(const Segment &from, Level level) const {
    WorkerSegment to;
    std::size_t operands = 0;
    for (const Pass &pass : from.passes) {
      for (const Item &item : pass.items) {
        operands += item.places.size();
      }
    }
    to.operands.reserve(operands);  // calls point into it
    for (const Pass &pass : from.passes) {
      WorkerSegment::Pass &p = to.passes.emplace_back();
      p.descending = pass.descending;
      for (const Item &item : pass.items) {
        Call call;
        call.node = &item.node;
        call.ins = to.operands.data() + to.operands.size();
        call.outs = call.ins + item.node.ins.size();
        call.carry = worker_ + item.carry;
        call.scratch = worker_ + item.scratch;
        call.offsets = reinterpret_cast<const std::int32_t *>(address(from.offsets));
        for (const Place &place : item.places) {
          const auto number = static_cast<std::uint32_t>(to.operands.size());
          to.operands.push_back({address(place), 0, place.stride});
          if (place.in == Place::In::kBlock) {
            p.of_block.push_back(number);
          } else if (place.in == Place::In::kShard && place.axis == Axis::kChunks) {
            to.of_chunks.push_back(number);
          } else if (place.in == Place::In::kShard) {
            to.of_shard.push_back(number);
          } else if (place.in == Place::In::kSum) {
            to.of_sums.push_back({number, place.offset});
          }
        }
        if (item.product != nullptr) {
          const Place &b = item.places[CALM_MATMUL_B];
          call.scratch = worker_ + binding_.executable->plan.products_at;
          to.products.push_back(std::make_unique<ProductRun>(
              item.product, b.in == Place::In::kPack ? address(b) : nullptr, call.scratch));
          call.product = to.products.back().get();
        }
        p.steps.push_back({item.kernel->run[static_cast<std::size_t>(level)], call});
      }
    }
    return to;
  }

 private:
  const calm_binding &binding_;
  std::byte *arena_;
  std::byte *worker_;
};

}  // namespace

Arena::Arena(const Plan &plan, std::uint32_t threads)
    : workers_count(1),
      scratch(aligned(plan.shared_bytes)),
      workers(scratch + aligned(plan.scratch_bytes)),
      bytes(0) {
  for (const Segment &segment : plan.segments) {
    const std::size_t most = std::min<std::size_t>(segment.most_shards + 1, threads);
    workers_count = std::max(workers_count, static_cast<std::uint32_t>(most));
  }
  bytes = workers + workers_count * aligned(plan.worker_bytes);
}

void locate(Session &session, calm_binding &binding) {
  const Plan &plan = binding.executable->plan;
  binding.workers.clear();
  const std::uint32_t workers = Arena(plan, session.host.threads).workers_count;
  for (std::uint32_t w = 0; w < workers; ++w) {
    const Locator locator(session, binding, w);
    std::vector<WorkerSegment> &segments = binding.workers.emplace_back();
    for (const Segment &segment : plan.segments) {
      segments.push_back(locator.segment(segment, session.level));
    }
  }
  const Locator locator(session, binding, 0);
  binding.plain_operands.clear();
  for (const Plain &plain : plan.plains) {
    std::vector<void *> &operands = binding.plain_operands.emplace_back();
    for (const Place &place : plain.places) {
      operands.push_back(locator.address(place));
    }
  }
  binding.sums.clear();
  binding.tails.clear();
  binding.offsets.clear();
  for (const Segment &segment : plan.segments) {
    std::vector<std::byte *> &sums = binding.sums.emplace_back();
    for (const Sum &sum : segment.sums) {
      sums.push_back(locator.address(sum.to));
    }
    std::vector<std::byte *> &tails = binding.tails.emplace_back();
    for (const Tail &tail : segment.tails) {
      tails.push_back(locator.address(tail.place));
    }
    binding.offsets.push_back(
        reinterpret_cast<const std::int32_t *>(locator.address(segment.offsets)));
  }
}

}  // namespace calm::onednn
