// What a kernel sees: one node with its types and attributes (known at compile) and one launch of
// it (addresses and the stream, known at bind, where the launches are captured). Kernels put work
// on the stream: they allocate nothing and never wait.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reference/kernel.hpp"

namespace calm::cuda {

class Blas;
class Launch;
using LaunchKernel = void (*)(const Launch &launch);
/// Nodes of one operator that follow each other, in as few launches as can be.
using JoinKernel = void (*)(const Launch *launches, std::size_t n);

using reference::count;
using reference::Scratch;

/// What a product does with its values before it stores them.
enum class Finish : std::uint8_t {
  kNone,
  kAdd,   // a third input, of the output's type, is added
  kGelu,  // outputs: gelu(product), product
};

/// One node of an executable. `scratch` counts bytes of device memory here.
struct Node : reference::Node {
  LaunchKernel launch = nullptr;
  JoinKernel join = nullptr;            // null: each node alone
  std::vector<std::uint32_t> operands;  // values (graph.hpp): inputs, then outputs
  std::vector<std::int64_t> strides;    // elements between the operands' rows
  bool own = false;                     // not as the catalogue has it (fused.hpp)
  Finish finish = Finish::kNone;        // of a product
  bool side = false;                    // runs beside the others, on the second stream
  bool late = false;                    // reads gradients of weights
};

class Launch {
 public:
  Launch(const Node &node, void *const *operands, std::byte *scratch, unsigned *counter, Blas &blas,
         cudaStream_t stream)
      : node_(&node),
        operands_(operands),
        scratch_(scratch),
        counter_(counter),
        blas_(&blas),
        stream_(stream) {}

  const Node &node() const { return *node_; }
  cudaStream_t stream() const { return stream_; }
  Blas &blas() const { return *blas_; }
  /// `Node::scratch` bytes, 256-byte aligned, contents undefined.
  std::byte *scratch() const { return scratch_; }
  /// On the device, one for all nodes of the first stream: 0 before a kernel, which leaves it so.
  unsigned *counter() const { return counter_; }

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
  int extent(std::uint32_t input, std::uint32_t axis) const {
    return static_cast<int>(node_->ins[input].shape[axis]);
  }
  /// Elements between rows: the width, unless the operand is columns of a wider tensor.
  std::int64_t in_stride(std::uint32_t i) const { return node_->strides[i]; }
  std::int64_t out_stride(std::uint32_t i) const { return node_->strides[n_in() + i]; }
  std::int64_t i64(std::uint32_t attr) const { return node_->attrs[attr].i64; }
  double f64(std::uint32_t attr) const { return node_->attrs[attr].f64; }
  /// Whether this runs on the second stream.
  bool side() const { return node_->side; }
  bool flag(std::uint32_t attr) const { return node_->attrs[attr].i64 != 0; }

 private:
  const Node *node_;
  void *const *operands_;
  std::byte *scratch_;
  unsigned *counter_;
  Blas *blas_;
  cudaStream_t stream_;
};

template <class T>
constexpr T div_up(T n, T by) {
  return (n + by - 1) / by;
}

}  // namespace calm::cuda
