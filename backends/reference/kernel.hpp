// What a kernel sees: one node with its types and attributes (known at compile) and one call of it
// (addresses, known at bind). Kernels are pure functions of a call: they allocate and log nothing.
#pragma once

#include <calm/host.h>
#include <calm/tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace calm::reference {

class Call;
using RunKernel = void (*)(const Call &call);

/// Instruction sets a shard is compiled for (parallel.hpp). All give the same bits.
enum class Level { kBase, kAvx2, kAvx512 };

/// One node of an executable. Types of absent operands have dtype 0.
struct Node {
  std::uint32_t index = 0;  // in the program
  std::string op;
  std::uint32_t revision = 0;
  std::string origin;
  std::uint32_t stream = 0;  // calm_stream_id(origin)
  std::vector<calm_type> ins;
  std::vector<calm_type> outs;
  std::vector<calm_value> attrs;  // names and strings dropped
  std::size_t first = 0;          // its operands in a binding: inputs, then outputs
  std::size_t scratch = 0;        // bytes
  RunKernel run = nullptr;

  std::size_t extent(std::uint32_t input, std::uint32_t axis) const {
    return static_cast<std::size_t>(ins[input].shape[axis]);
  }
  bool has(std::uint32_t input) const { return input < ins.size() && ins[input].dtype != 0; }
};

/// Number of elements of a type; 1 for a scalar.
inline std::size_t count(const calm_type &type) {
  std::size_t n = 1;
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    n *= static_cast<std::size_t>(type.shape[i]);
  }
  return n;
}

/// One run of a node.
class Call {
 public:
  Call(const Node &node, void *const *operands, std::byte *scratch, const calm_host &host,
       Level level)
      : node_(&node), operands_(operands), scratch_(scratch), host_(&host), level_(level) {}

  const Node &node() const { return *node_; }
  const calm_host &host() const { return *host_; }
  Level level() const { return level_; }
  /// `Node::scratch` bytes, 64-byte aligned, contents undefined.
  std::byte *scratch() const { return scratch_; }

  std::uint32_t n_in() const { return static_cast<std::uint32_t>(node_->ins.size()); }
  std::uint32_t n_out() const { return static_cast<std::uint32_t>(node_->outs.size()); }
  /// Null for an absent operand.
  template <class T>
  const T *in(std::uint32_t i) const {
    return i < n_in() ? static_cast<const T *>(operands_[i]) : nullptr;
  }
  template <class T>
  T *out(std::uint32_t i) const {
    return i < n_out() ? static_cast<T *>(operands_[n_in() + i]) : nullptr;
  }
  template <class T>
  T scalar(std::uint32_t i) const {
    return *in<T>(i);
  }
  std::size_t extent(std::uint32_t input, std::uint32_t axis) const {
    return node_->extent(input, axis);
  }
  std::int64_t i64(std::uint32_t attr) const { return node_->attrs[attr].i64; }
  double f64(std::uint32_t attr) const { return node_->attrs[attr].f64; }
  bool flag(std::uint32_t attr) const { return node_->attrs[attr].i64 != 0; }

 private:
  const Node *node_;
  void *const *operands_;
  std::byte *scratch_;
  const calm_host *host_;
  Level level_;
};

/// Lays arrays out in scratch memory. Over a null base it only measures, so a kernel states its
/// layout once: its plan function measures it, its run function takes it.
class Scratch {
 public:
  explicit Scratch(std::byte *base = nullptr) : base_(base) {}
  template <class T>
  T *take(std::size_t n) {
    const std::size_t at = used_;
    used_ += (n * sizeof(T) + 63) / 64 * 64;
    return base_ == nullptr ? nullptr : reinterpret_cast<T *>(base_ + at);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte *base_;
  std::size_t used_ = 0;
};

}  // namespace calm::reference

/// At the end of a kernel's file: the two types every kernel exists for.
// The name of a template cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define CALM_KERNEL(name)                  \
  template void name<float>(const Call &); \
  template void name<double>(const Call &)
#define CALM_PLANNED_KERNEL(name)                        \
  CALM_KERNEL(name);                                     \
  template std::size_t name##_plan<float>(const Node &); \
  template std::size_t name##_plan<double>(const Node &)
// NOLINTEND(bugprone-macro-parentheses)
