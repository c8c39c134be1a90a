// Matrix products by cuBLASLt. The library is half a gigabyte and may be missing, so it is opened
// when the engine is, never linked.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "cuda/memory.hpp"

namespace calm::cuda {

/// Opens the library: one that the system's linker finds, else one in a usual place. Throws
/// UNAVAILABLE naming what was looked for.
void open_blas();

/// out [m, n] = op(a) op(b), all row after row; op(a) is [m, k].
struct Product {
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
  const float *a;
  const float *b;
  float *out;
};

class Blas {
 public:
  /// `tf32`: operands rounded to 10 bits of mantissa, on the matrix units.
  Blas(cudaStream_t stream, bool tf32);
  ~Blas();
  /// Leaves what the library holds to the end of the process: its device is lost.
  void abandon() { handle_ = nullptr; }
  Blas(const Blas &) = delete;
  Blas &operator=(const Blas &) = delete;

  /// The algorithm is the library's first choice for the sizes and the alignment, never one that
  /// adds up in an order that changes between runs.
  void multiply(const Product &product, cudaStream_t stream);

 private:
  struct Choice;
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, std::uint32_t,
                         std::uint32_t, std::uint32_t>;
  const Choice &choose(const Product &product);

  void *handle_ = nullptr;
  bool tf32_;
  DeviceMemory workspace_;
  std::map<Key, std::unique_ptr<Choice>> choices_;
};

}  // namespace calm::cuda
