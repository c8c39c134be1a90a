// Matrix products by cuBLASLt (cublaslt.hpp).
#pragma once

#include <calm/tensor.h>

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "cuda/kernel.hpp"
#include "cuda/memory.hpp"

namespace calm::cuda {

enum class Precision : std::uint8_t { kFp32, kTf32, kBf16 };

/// out [m, n] = op(a) op(b), finished; all row after row, `ld` elements between rows; op(a) is
/// [m, k]. a and b are of one type, f32 or bf16.
struct Product {
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
  calm_dtype type, out_type;
  const void *a;
  const void *b;
  void *out;
  std::int64_t lda, ldb, ld_out;
  Finish finish;
  void *with;  // [m, n] of the output's type: read by kAdd and kGeluGrad, written by kGelu
  std::int64_t ld_with;
};

class Blas {
 public:
  /// Operands in fp32 are rounded to 10 bits of mantissa with kTf32, then on the matrix units.
  Blas(cudaStream_t stream, Precision precision);
  ~Blas();
  /// Leaves what the library holds to the end of the process: its device is lost.
  void abandon() { handle_ = nullptr; }
  Blas(const Blas &) = delete;
  Blas &operator=(const Blas &) = delete;

  /// Whether the library has an algorithm for it. Addresses do not matter: as aligned as memory is.
  bool can(const Product &product);
  /// The algorithm is the library's first choice for the sizes and the alignment, never one that
  /// adds up in an order that changes between runs. `side`: on the second stream, beside the first.
  void multiply(const Product &product, bool side, cudaStream_t stream);

 private:
  struct Choice;
  using Key = std::array<std::int64_t, 16>;
  /// Null where there is none.
  const Choice *choose(const Product &product);
  void look_up(const Product &product, Choice &choice);

  void *handle_ = nullptr;
  bool tf32_;
  std::array<DeviceMemory, 2> workspaces_;  // of the first stream, of the second
  std::map<Key, std::unique_ptr<Choice>> choices_;
};

}  // namespace calm::cuda
