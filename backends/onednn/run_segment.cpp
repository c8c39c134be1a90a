#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cstring>
#include <string>

#include "onednn/combine.hpp"
#include "onednn/executable.hpp"

namespace calm::onednn {
namespace {

/// Elements of sums that one task adds up.
constexpr std::size_t kCombine = 16384;

/// A worker's memory for as long as a task runs: the first free one. Who goes past number i leaves
/// a holder behind at i, so with n tasks at a time nobody gets beyond number n - 1 (Moir &
/// Anderson, Wait-free algorithms for fast, long-lived renaming, 1995); there are fewer shards
/// than 64.
class Lease {
 public:
  explicit Lease(std::atomic<std::uint64_t> *busy) : busy_(busy) {
    for (number_ = 0;; number_ = (number_ + 1) % 64) {
      const std::uint64_t bit = std::uint64_t{1} << number_;
      if ((busy_->fetch_or(bit, std::memory_order_acquire) & bit) == 0) {
        return;
      }
    }
  }
  ~Lease() { busy_->fetch_and(~(std::uint64_t{1} << number_), std::memory_order_release); }
  Lease(const Lease &) = delete;
  Lease &operator=(const Lease &) = delete;
  std::size_t number() const { return number_; }

 private:
  std::atomic<std::uint64_t> *busy_;
  std::size_t number_ = 0;
};

struct Task {
  const Segment *segment;
  calm_binding *binding;
  std::uint32_t index;
  std::byte *sums;  // of all shards
  std::atomic<std::uint64_t> busy{0};
};

std::size_t live_rows(const Segment &segment, const std::int32_t *offsets) {
  return static_cast<std::size_t>(offsets[segment.sequences]);
}

/// Whole sequences, so that shards have about the same rows; the last ends with the last live row.
void cut_by_sequence(const Segment &segment, const std::int32_t *offsets,
                     std::vector<Shard> &shards) {
  const std::size_t live = live_rows(segment, offsets);
  const std::size_t even = live / segment.most_shards + 1;
  shards.clear();
  Shard shard;
  for (std::size_t s = 0; s < segment.sequences; ++s) {
    shard.end = static_cast<std::size_t>(offsets[s + 1]);
    shard.last_sequence = s + 1;
    if (shard.end - shard.begin >= even || s + 1 == segment.sequences) {
      if (shard.end - shard.begin > segment.most_rows) {
        throw Error(CALM_INVALID_ARGUMENT,
                    "offsets: a sequence is longer than the program's longest");
      }
      shards.push_back(shard);
      shard = {shard.end, shard.end, s + 1, s + 1};
    }
  }
  if (shards.empty()) {
    shards.push_back(shard);  // of no sequences
  }
}

void cut_rows(const Segment &segment, std::size_t rows, std::vector<Shard> &shards) {
  const std::size_t blocks = (rows + segment.block - 1) / segment.block;
  shards.clear();
  for (std::size_t i = 0; i < segment.most_shards; ++i) {
    const std::size_t first = i * blocks / segment.most_shards;
    const std::size_t last = (i + 1) * blocks / segment.most_shards;
    shards.push_back({first * segment.block, std::min(last * segment.block, rows), 0, 0});
  }
}

void set_block(WorkerSegment &worker, WorkerSegment::Pass &pass, const Block &block) {
  for (const std::uint32_t i : pass.of_block) {
    worker.operands[i].first = block.begin;
  }
  for (WorkerSegment::Step &step : pass.steps) {
    step.call.begin = block.begin;
    step.call.end = block.end;
    step.call.shard_begin = block.shard.begin;
    step.call.shard_end = block.shard.end;
    step.call.first_sequence = block.shard.first_sequence;
    step.call.last_sequence = block.shard.last_sequence;
  }
  pass.block = block;
}

void run_pass(WorkerSegment &worker, WorkerSegment::Pass &pass, const Block &block) {
  if (block != pass.block) {  // in generation it never changes
    set_block(worker, pass, block);
  }
  for (const WorkerSegment::Step &step : pass.steps) {
    step.run(step.call);
  }
}

void run_shard(const Task &task, WorkerSegment &worker, const Shard &shard, std::size_t number) {
  const Segment &segment = *task.segment;
  if (segment.sum_bytes != 0) {
    std::byte *const sums = task.sums + number * segment.sum_bytes;
    std::memset(sums, 0, segment.sum_bytes);
    for (const WorkerSegment::OfSum &sum : worker.of_sums) {
      worker.operands[sum.operand].data = sums + sum.offset;
    }
  }
  for (const std::uint32_t i : worker.of_shard) {
    worker.operands[i].first = shard.begin;
  }
  for (const std::uint32_t i : worker.of_chunks) {
    worker.operands[i].first = shard.begin / kChunk;
  }
  for (WorkerSegment::Pass &pass : worker.passes) {
    // Blocks end at multiples of their size, counted from the program's first row.
    if (shard.begin == shard.end) {
      run_pass(worker, pass, {shard.begin, shard.end, shard});
    } else if (pass.descending) {
      for (std::size_t end = shard.end; end > shard.begin;) {
        const std::size_t begin = std::max(shard.begin, (end - 1) / segment.block * segment.block);
        run_pass(worker, pass, {begin, end, shard});
        end = begin;
      }
    } else {
      for (std::size_t begin = shard.begin; begin < shard.end;) {
        const std::size_t end = std::min(shard.end, (begin / segment.block + 1) * segment.block);
        run_pass(worker, pass, {begin, end, shard});
        begin = end;
      }
    }
  }
}

void run_task(void *context, std::uint32_t number) {
  Task &task = *static_cast<Task *>(context);
  const Lease lease(&task.busy);
  const std::uint32_t shard = task.binding->order[number];
  run_shard(task, task.binding->workers[lease.number()][task.index], task.binding->shards[shard],
            shard);
}

/// The accumulators of all shards, added up in order.
struct Combining {
  const Segment *segment;
  const std::byte *sums;
  std::size_t shards;
  const std::vector<std::byte *> *to;
  Level level;
};

std::size_t parts_of(const Sum &sum) { return (sum.elements + kCombine - 1) / kCombine; }

void run_combine(void *context, std::uint32_t number) {
  const Combining &c = *static_cast<const Combining *>(context);
  std::size_t i = 0;
  std::size_t part = number;
  while (part >= parts_of(c.segment->sums[i])) {
    part -= parts_of(c.segment->sums[i]);
    ++i;
  }
  const Sum &sum = c.segment->sums[i];
  if ((*c.to)[i] == nullptr) {
    return;
  }
  const std::size_t begin = part * kCombine;
  const std::size_t n = std::min(kCombine, sum.elements - begin);
  auto *const out = reinterpret_cast<float *>((*c.to)[i]) + begin;
  if (sum.wide) {
    add_shards(reinterpret_cast<const double *>(c.sums + sum.offset) + begin,
               c.segment->sum_bytes / sizeof(double), c.shards, n, out);
  } else {
    add_shards(reinterpret_cast<const float *>(c.sums + sum.offset) + begin,
               c.segment->sum_bytes / sizeof(float), c.shards, n, out, c.level);
  }
}

void combine(Session &session, const calm_binding &binding, const Segment &segment,
             std::uint32_t index, const std::byte *sums) {
  Combining combining{&segment, sums, binding.shards.size(), &binding.sums[index], session.level};
  std::size_t parts = 0;
  for (const Sum &sum : segment.sums) {
    parts += parts_of(sum);
  }
  session.host.parallel_for(session.host.self, static_cast<std::uint32_t>(parts), run_combine,
                            &combining);
}

void zero_tails(const Segment &segment, const std::vector<std::byte *> &tails,
                const std::int32_t *offsets) {
  const std::size_t live = live_rows(segment, offsets);
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const auto &[place, width] = segment.tails[i];
    const bool chunks = place.axis == Axis::kChunks;
    const std::size_t first = chunks ? (live + kChunk - 1) / kChunk : live;
    const std::size_t records = chunks ? (segment.rows + kChunk - 1) / kChunk : segment.rows;
    for (std::size_t r = first; tails[i] != nullptr && r < records; ++r) {
      std::memset(tails[i] + r * place.stride * sizeof(float), 0, width * sizeof(float));
    }
  }
}

}  // namespace

void run_segment(Session &session, calm_binding &binding, std::uint32_t index) {
  const Segment &segment = binding.executable->plan.segments[index];
  std::vector<Shard> &shards = binding.shards;
  const std::int32_t *const offsets = binding.offsets[index];
  if (segment.by_sequence) {
    cut_by_sequence(segment, offsets, shards);
  } else {
    cut_rows(segment, offsets == nullptr ? segment.rows : live_rows(segment, offsets), shards);
  }
  const auto count = static_cast<std::uint32_t>(shards.size());
  binding.order.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    binding.order[i] = i;
  }
  // The largest start first, so that the workers end together.
  std::sort(binding.order.begin(), binding.order.end(),
            [&shards](std::uint32_t a, std::uint32_t b) {
              const std::size_t rows_a = shards[a].end - shards[a].begin;
              const std::size_t rows_b = shards[b].end - shards[b].begin;
              return rows_a != rows_b ? rows_a > rows_b : a < b;
            });
  std::byte *const sums = session.scratch.data() + segment.sums_at;
  Task task{&segment, &binding, index, sums};
  if (count == 1) {
    run_task(&task, 0);
  } else {
    session.host.parallel_for(session.host.self, count, run_task, &task);
  }
  if (!segment.sums.empty()) {
    combine(session, binding, segment, index, sums);
  }
  if (offsets != nullptr) {
    zero_tails(segment, binding.tails[index], offsets);
  }
}

}  // namespace calm::onednn
