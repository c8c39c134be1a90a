// What a kernel of this backend sees, and what the table says about it.
//
// A program runs in shards: groups of whole sequences, or of plain rows where no operator looks at
// sequences. Shards are fixed by shapes and offsets, never by threads, so any number of threads
// gives the same bits. A shard runs in blocks of rows, all nodes of a segment for one block before
// the next block, so what passes from node to node stays in the cache (segment.hpp). Kernels are
// pure functions of a call; they allocate and log nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reference/kernel.hpp"

namespace calm::onednn {

using reference::count;
using reference::Level;
using reference::Node;

struct ProductRun;

/// Rows between stored states of a scan (calm/ops/selective_scan.h): no block of rows crosses a
/// multiple of it.
inline constexpr std::size_t kChunk = 64;

/// Where an operand lies. Its records are the rows of axis 0 (tokens, sequences or chunks); of
/// weights, scalars and sums over rows there is one record, number 0. Numbers of records are those
/// of the whole program, whatever part of it is in memory here.
struct Operand {
  std::byte *data = nullptr;  ///< of record `first`; null: absent
  std::size_t first = 0;
  std::size_t stride = 0;  ///< elements from a record to the next; may be more than a record has

  explicit operator bool() const { return data != nullptr; }
  template <class T = float>
  T *at(std::size_t record) const {
    return reinterpret_cast<T *>(data) + (record - first) * stride;
  }
};

/// One block of one shard of one node.
struct Call {
  const Node *node = nullptr;
  const Operand *ins = nullptr;
  const Operand *outs = nullptr;
  /// Rows to do. In a segment with sequences they do not cross a multiple of kChunk.
  std::size_t begin = 0, end = 0;
  /// The shard's rows are [shard_begin, shard_end), its sequences [first_sequence, last_sequence);
  /// sequence s has the rows [offsets[s], offsets[s + 1]). Null offsets: the node has none.
  std::size_t shard_begin = 0, shard_end = 0;
  std::size_t first_sequence = 0, last_sequence = 0;
  const std::int32_t *offsets = nullptr;
  /// Kernel::carry bytes that keep their contents from block to block of a shard, undefined in the
  /// first block; Kernel::scratch bytes, always undefined. Both 64-byte aligned.
  std::byte *carry = nullptr;
  std::byte *scratch = nullptr;
  ProductRun *product = nullptr;  ///< of oneDNN (products.hpp)

  std::size_t rows() const { return end - begin; }
  /// The first block the shard's kernel sees, in the kernel's order of blocks.
  bool first_block(bool descending) const {
    return descending ? end == shard_end : begin == shard_begin;
  }
  template <class T = float>
  T scalar(std::uint32_t input) const {
    return *ins[input].at<const T>(0);
  }
};

using Run = void (*)(const Call &call);
/// The same kernel for every Level.
using Variants = Run[3];

/// In which order a kernel wants the blocks of a shard.
enum class Order { kAny, kAscending, kDescending };

/// What the planner knows of a kernel. f32 only.
struct Kernel {
  std::string_view op;
  std::uint32_t revision = 1;
  std::string_view signature;  ///< reference/signature.hpp; the first letter of a shape says which
                               ///< axis it has: T rows, S sequences, T/64 chunks, else one record
  const Variants &run;
  Order order = Order::kAny;
  /// Outputs that are sums over rows, a bit each: the kernel adds to one accumulator a shard,
  /// zeroed by the caller, which adds the shards up in order. Those also in `wide` are doubles,
  /// else floats.
  std::uint32_t sums = 0, wide = 0;
  /// Inputs of which it reads rows before the block's (never after, never of another shard).
  std::uint32_t reaches = 0;
  std::size_t (*carry)(const Node &node) = nullptr;    ///< bytes
  std::size_t (*scratch)(const Node &node) = nullptr;  ///< bytes
  /// Whether it does this node; null: every one that has the signature.
  bool (*fits)(const Node &node) = nullptr;
};

}  // namespace calm::onednn
