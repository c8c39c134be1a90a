// What `compile` works on: the program's nodes and values, which the functions below then change,
// in the order in which they stand here.
#pragma once

#include <calm/program.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/kernel.hpp"
#include "reference/program.hpp"

namespace calm::cuda {

/// Elements of bf16 in 16 bytes: what kernels and cuBLASLt read at a time.
constexpr std::int64_t kAligned = 8;

class Blas;

/// What a node reads or writes.
struct Value {
  calm_type type{};
  reference::Place place;   // known from the start, but for what lies in the workspace
  std::uint32_t root = 0;   // the value in whose memory it lies: itself, unless it is a view
  std::uint64_t at = 0;     // bytes into it
  std::int64_t stride = 0;  // elements between rows, 0: the width
  bool columns = false;     // of the root, as wide apart as its rows
  bool in_workspace = false;
  bool plain = false;  // in the workspace, with memory of its own that nothing else names
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::uint32_t workspace = CALM_NONE;  // its slot
  std::uint64_t workspace_bytes = 0;    // once placed
  std::uint32_t fused = 0;              // nodes that went into others

  std::uint32_t add(Value value) {
    value.root = static_cast<std::uint32_t>(values.size());
    values.push_back(value);
    return value.root;
  }
  /// A new value of the workspace.
  std::uint32_t add_temporary(const calm_type &type);
  /// Elements between rows of a value, in a view those of what it is a view of.
  std::int64_t stride(std::uint32_t id) const;
  /// By value: the nodes that read it, in order, one entry a use, and the one that makes it.
  std::vector<std::vector<std::uint32_t>> users() const;
  std::vector<std::uint32_t> makers() const;
};

/// After values changed: the nodes' own copies of their types.
void refresh_types(Graph &graph);

/// A node of the backend's own with these operands; index, origin and stream are those of `from`.
Node make_node(const Graph &graph, const Node &from, const std::string &op,
               std::vector<std::uint32_t> ins, std::vector<std::uint32_t> outs);

/// The checked program; its nodes have no kernels yet. Throws INVALID_ARGUMENT, for a program
/// without a workspace too: fused nodes leave parts of sums there.
Graph inspect(const calm_program &program);

/// Merges nodes (fuse.cpp), but for what follows products.
void fuse(Graph &graph);

/// Lets splits and concatenations be views (store.cpp), so that nothing is copied.
void make_views(Graph &graph);

/// Stores activations as bf16 where every node that touches them can (store.cpp), and casts what
/// else products read. After make_views.
void store_as_bf16(Graph &graph);

/// Rounds up sizes of products where nobody sees it (pad.cpp). After store_as_bf16.
void pad_products(Graph &graph);

/// Merges products with what follows them, where `blas` says that they can finish their values so
/// (fuse.cpp).
void fuse_products(Graph &graph, Blas &blas);

/// Whether a node adds up over the ranks.
bool is_sum(const Node &node);

/// For several ranks: cuts what is added up over them into pieces and lets each stand where its
/// last gradient is made, so that it travels beside the rest of the backward pass (sums.cpp). The
/// pieces and their order follow from the layout of the group alone, as they must.
void start_sums_early(Graph &graph);

/// Puts weight gradients on the second stream and lays out the workspace (place.cpp). The nodes
/// have their kernels.
void place(Graph &graph);

/// Whether two nodes that follow each other are in one launch.
inline bool joined(const Node &a, const Node &b) { return a.join != nullptr && a.join == b.join; }

/// Joins: before these nodes the first stream waits for the second, in order. It waits for what the
/// second had been given at the join before, which it has long done, but at one that
/// `waits_for_all`.
std::vector<std::uint32_t> joins_of(const std::vector<Node> &nodes);
bool waits_for_all(const Node &node);

/// Before these nodes the first stream waits for all sums before them, whose memory they touch; in
/// order. After place.
std::vector<std::uint32_t> joins_of_sums(const Graph &graph);

}  // namespace calm::cuda
