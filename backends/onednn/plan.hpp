// A program as this backend runs it: prologue, then steps. A step is a segment (nodes that run
// together, shard by shard and block by block) or one node with the reference's loops.
#pragma once

#include <calm/program.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "onednn/kernel.hpp"
#include "onednn/pack.hpp"
#include "onednn/products.hpp"

namespace calm::onednn {

/// What a record of an operand is.
enum class Axis : std::uint8_t { kWhole, kRows, kSequences, kChunks };

/// Where an operand lies.
struct Place {
  enum class In : std::uint8_t {
    kNothing,
    kSlot,
    kConstants,
    kStep,
    kShared,  ///< memory of the run: crosses steps
    kKept,    ///< memory of the binding: results of the prologue
    kShard,   ///< memory of a worker: all rows of its shard
    kBlock,   ///< memory of a worker: the rows of its block
    kSum,     ///< the shard's accumulators
    kPack,    ///< packed weights number `slot`
  };
  In in = In::kNothing;
  Axis axis = Axis::kWhole;
  std::uint32_t slot = 0;
  std::uint64_t offset = 0;  ///< bytes
  std::size_t stride = 0;    ///< elements between records
};

/// A node of a segment, with its fast kernel.
struct Item {
  std::uint32_t number = 0;  ///< in ProgramInfo::nodes
  Node node;
  const Kernel *kernel = nullptr;
  std::vector<Place> places;               ///< inputs, then outputs
  std::size_t carry = 0, scratch = 0;      ///< offsets in the worker's memory
  std::shared_ptr<const Product> product;  ///< when oneDNN does it
};

/// Items that see the blocks of a shard in one order.
struct Pass {
  bool descending = false;
  std::vector<Item> items;
};

/// A sum over rows: `elements` accumulators at `offset` of each shard's, added up to `to`.
struct Sum {
  Place to;
  std::size_t offset = 0, elements = 0;
  bool wide = false;
};

/// Rows others read: those after the last live one are zeroed. Of a view only its columns.
struct Tail {
  Place place;
  std::size_t width = 0;  ///< elements of a record
};

struct Segment {
  std::size_t rows = 0;
  bool by_sequence = false;
  /// Of sequences: rows behind the last are not done. Not only when by_sequence: a segment of rows
  /// that reads what such a one made finds zeros there, which not every operator can take.
  Place offsets;
  std::size_t sequences = 0;
  std::size_t most_shards = 1;
  std::size_t most_rows = 0;   ///< of a shard
  std::size_t block = kChunk;  ///< rows
  std::vector<Pass> passes;
  std::vector<Sum> sums;
  std::vector<Tail> tails;
  std::size_t sum_bytes = 0, worker_bytes = 0;
  std::size_t sums_at = 0;  ///< offset of the accumulators in the memory of the run
};

/// One node with the reference's loops.
struct Plain {
  Node node;
  std::vector<Place> places;
};

/// A matrix to pack. Weights are packed when they changed, others before the segment that needs
/// them.
struct Pack {
  PackShape shape;
  Place from;
  bool weights = false;
  std::uint64_t offset = 0;              ///< in the memory of the run, unless `weights`
  std::shared_ptr<MatrixPacker> packer;  ///< oneDNN's

  std::size_t bytes() const { return packer == nullptr ? shape.bytes() : packer->bytes(); }
};

struct Step {
  enum class Kind : std::uint8_t { kSegment, kPlain, kPack } kind;
  std::uint32_t index;
};

struct Plan {
  std::vector<Segment> segments;
  std::vector<Plain> plains;
  std::vector<Pack> packs;
  std::vector<Step> prologue, steps;
  std::vector<std::uint64_t> slot_bytes;
  std::vector<std::string> slot_names;
  std::vector<std::uint32_t> read_weights;     ///< slots of parameters that the prologue reads
  std::vector<std::uint32_t> written_weights;  ///< and those that the program writes
  std::uint64_t shared_bytes = 0;              ///< of a run, accumulators among them
  std::uint64_t worker_bytes = 0;              ///< of each worker
  std::uint64_t scratch_bytes = 0;             ///< of the reference's loops
  std::uint64_t kept_bytes = 0;
  std::uint64_t step_bytes = 0;
  std::string products = "our own";  ///< who does them, for the dump
  std::uint64_t products_at = 0;     ///< oneDNN's scratch in a worker's memory
  std::uint32_t fused = 0;           ///< nodes that became views or part of others
};

/// Copies the program, checks it, and decides all there is to decide. Throws reference::NodeError
/// or Error as reference::compile does.
Plan make_plan(const calm_program &program, Level level, WeightType weights, Products *products);
std::string dump(const Plan &plan, calm_str name, Level level);

}  // namespace calm::onednn
