// A node on arrays of the test, for a kernel's function to be called with:
//
//   Operands o("layer_norm");
//   o.in(x, {rows, d}).in(weight, {d}).in(bias, {d}).f64(eps);
//   float *y = o.out<float>({rows, d});
//   o.run(calm::cuda::layer_norm);               // or run(kernel, kernel_plan)
//
// Outputs and scratch begin as NaN (0xff) and are as large as they are said to be, so
// AddressSanitizer sees what is read or written beyond them.
#pragma once

#include <cuda_bf16.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/blas.hpp"
#include "cuda/kernel.hpp"

namespace calm::cuda_test {

template <class T>
constexpr calm_dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>) {
    return CALM_F32;
  } else if constexpr (std::is_same_v<T, double>) {
    return CALM_F64;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return CALM_I32;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return CALM_I64;
  } else {
    static_assert(std::is_same_v<T, __nv_bfloat16>);
    return CALM_BF16;
  }
}

/// On a bound of 256 bytes, not a byte longer than asked, filled with 0xff.
class Block {
 public:
  explicit Block(std::size_t bytes) {
    void *memory = nullptr;
    if (::posix_memalign(&memory, 256, std::max<std::size_t>(bytes, 1)) != 0) {
      throw std::bad_alloc();
    }
    std::memset(memory, 0xff, bytes);
    memory_.reset(memory);
  }
  void *data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
};

class Operands {
 public:
  explicit Operands(std::string op) {
    node_.op = std::move(op);
    node_.revision = 1;
  }

  /// `stride`: elements between rows; 0: the width.
  template <class T>
  Operands &in(const std::vector<T> &values, const std::vector<std::int64_t> &shape,
               std::int64_t stride = 0) {
    const Block &block = blocks_.emplace_back(values.size() * sizeof(T));
    std::copy(values.begin(), values.end(), static_cast<T *>(block.data()));
    add(ins_, in_strides_, node_.ins, dtype_of<T>(), block.data(), shape, stride);
    return *this;
  }
  Operands &no_in() {
    add(ins_, in_strides_, node_.ins, 0, nullptr, {}, 0);
    return *this;
  }
  /// Whose memory this object owns.
  template <class T>
  T *out(const std::vector<std::int64_t> &shape, std::int64_t stride = 0) {
    std::size_t n = 1;
    for (const std::int64_t extent : shape) {
      n *= static_cast<std::size_t>(extent);
    }
    if (stride != 0) {  // the last row ends with its last column
      const auto width = static_cast<std::size_t>(shape.back());
      n = n == 0 ? 0 : (n / width - 1) * static_cast<std::size_t>(stride) + width;
    }
    const Block &block = blocks_.emplace_back(n * sizeof(T));
    add(outs_, out_strides_, node_.outs, dtype_of<T>(), block.data(), shape, stride);
    return static_cast<T *>(block.data());
  }
  /// At an address of the test: an output in the place of an input, columns of a wider tensor.
  template <class T>
  Operands &out_at(T *to, const std::vector<std::int64_t> &shape, std::int64_t stride = 0) {
    add(outs_, out_strides_, node_.outs, dtype_of<T>(), to, shape, stride);
    return *this;
  }
  Operands &no_out() {
    add(outs_, out_strides_, node_.outs, 0, nullptr, {}, 0);
    return *this;
  }
  Operands &i64(std::int64_t value) {
    node_.attrs.emplace_back().i64 = value;
    return *this;
  }
  Operands &f64(double value) {
    node_.attrs.emplace_back().f64 = value;
    return *this;
  }

  const cuda::Node &node() const { return node_; }

  void run(cuda::LaunchKernel kernel, std::size_t (*plan)(const cuda::Node &) = nullptr) {
    node_.scratch = plan == nullptr ? 0 : plan(node_);
    const Block scratch(node_.scratch);
    kernel(launch(scratch));
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }
  /// Several nodes that need no scratch.
  static void run(cuda::JoinKernel kernel, std::vector<Operands> &nodes) {
    const Block scratch(0);
    std::vector<cuda::Launch> launches;
    for (Operands &node : nodes) {
      launches.push_back(node.launch(scratch));
    }
    kernel(launches.data(), launches.size());
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }

 private:
  cuda::Launch launch(const Block &scratch) {
    static cuda::Blas blas(nullptr, cuda::Precision::kFp32);
    static unsigned counter = 0;
    node_.strides = in_strides_;
    node_.strides.insert(node_.strides.end(), out_strides_.begin(), out_strides_.end());
    operands_ = ins_;
    operands_.insert(operands_.end(), outs_.begin(), outs_.end());
    return {node_, operands_.data(), static_cast<std::byte *>(scratch.data()), &counter,
            blas,  nullptr};
  }
  static void add(std::vector<void *> &addresses, std::vector<std::int64_t> &strides,
                  std::vector<calm_type> &types, calm_dtype dtype, void *address,
                  const std::vector<std::int64_t> &shape, std::int64_t stride) {
    calm_type type{};
    type.dtype = dtype;
    for (const std::int64_t extent : shape) {
      type.shape[type.rank++] = extent;
    }
    addresses.push_back(address);
    types.push_back(type);
    strides.push_back(stride != 0 || shape.empty() ? stride : shape.back());
  }

  cuda::Node node_;
  std::vector<void *> ins_, outs_, operands_;
  std::vector<std::int64_t> in_strides_, out_strides_;
  std::vector<Block> blocks_;
};

}  // namespace calm::cuda_test
