// A compiled program and its bindings: the addresses a plan was given, and the run over them.
#pragma once

#include <calm/backend.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "onednn/plan.hpp"
#include "onednn/session.hpp"

namespace calm::onednn {

struct Shard {
  std::size_t begin = 0, end = 0;  ///< rows
  std::size_t first_sequence = 0, last_sequence = 0;
  bool operator==(const Shard &) const = default;
};

/// Rows that a pass runs at a time, and the shard they are of.
struct Block {
  std::size_t begin = 0, end = 0;
  Shard shard;
  bool operator==(const Block &) const = default;
};

/// A segment as one worker runs it: its operands' addresses and its calls.
struct WorkerSegment {
  struct Step {
    Run run;
    Call call;
  };
  struct Pass {
    bool descending;
    std::vector<Step> steps;
    std::vector<std::uint32_t> of_block;  ///< operands that hold the rows of one block
    Block block;                          ///< that the calls and these operands were set for
  };
  struct OfSum {
    std::uint32_t operand;
    std::size_t offset;
  };
  std::vector<Operand> operands;
  std::vector<Pass> passes;
  std::vector<std::uint32_t> of_shard;   ///< operands that hold the rows of a shard
  std::vector<std::uint32_t> of_chunks;  ///< the same, states at multiples of kChunk rows
  std::vector<OfSum> of_sums;            ///< accumulators
  std::vector<std::unique_ptr<ProductRun>> products;
};

}  // namespace calm::onednn

struct calm_executable {
  calm::onednn::Plan plan;
  calm::reference::HostMemory constants;
  std::uint64_t arena_bytes = 0;  ///< that it needs of the session's memory
  std::uint64_t scratch_at = 0;   ///< of the reference's loops, in it
  std::string dump;
};

struct calm_binding {
  const calm_executable *executable = nullptr;
  std::vector<calm_buffer *> buffers;
  std::vector<const calm_buffer *> read_weights;                     ///< by the prologue
  calm::reference::HostMemory step;                                  ///< this run's step values
  calm::reference::HostMemory kept;                                  ///< results of the prologue
  std::uint64_t weights_version = ~std::uint64_t{0};                 ///< the prologue ran for
  std::vector<std::shared_ptr<calm::onednn::PackedWeights>> packed;  ///< by number of the pack
  std::vector<std::vector<calm::onednn::WorkerSegment>> workers;     ///< [worker][segment]
  std::vector<std::vector<void *>> plain_operands;                   ///< by plain node
  std::vector<std::vector<std::byte *>> sums, tails;                 ///< by segment
  std::vector<const std::int32_t *> offsets;                         ///< by segment
  std::vector<calm::onednn::Shard> shards;                           ///< of the segment that runs
  std::vector<std::uint32_t> order;  ///< of its shards, largest first
};

namespace calm::onednn {

calm_executable *compile(Session &session, const calm_program *program, calm_table options);
calm_binding *bind(Session &session, const calm_executable &executable, calm_buffer *const *buffers,
                   std::uint32_t count);
void unbind(Session &session, calm_binding *binding);
/// Runs to the end and returns the fence.
std::uint64_t run(Session &session, calm_binding &binding, const void *step_values,
                  std::uint64_t bytes);

/// Works out every address of a binding; again when the session's memory moved (locate.cpp).
void locate(Session &session, calm_binding &binding);
/// Runs one segment on all of the host's workers (run_segment.cpp).
void run_segment(Session &session, calm_binding &binding, std::uint32_t index);

/// Memory an executable needs of the session: of the run, then the reference's scratch, then each
/// worker's.
struct Arena {
  /// Who has memory of his own: never more work at a time than there are shards.
  std::uint32_t workers_count;
  std::uint64_t scratch, workers, bytes;
  Arena(const Plan &plan, std::uint32_t threads);
};

}  // namespace calm::onednn
