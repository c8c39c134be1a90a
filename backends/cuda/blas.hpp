// Matrix products by cuBLASLt (cublaslt.hpp).
#pragma once

#include <calm/host.h>
#include <calm/tensor.h>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <vector>

#include "cuda/algorithm_cache.hpp"
#include "cuda/kernel.hpp"
#include "cuda/memory.hpp"

namespace calm::cuda {

enum class Precision : std::uint8_t { kFp32, kTf32, kBf16 };

/// Which size of a product follows the batch: how many tokens it has.
enum class Tokens : std::uint8_t { kNone, kM, kK };

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
  void *with;  // [m, n] of the output's type: read by kAdd, written by kGelu
  std::int64_t ld_with;
  Tokens tokens;
};

class Blas {
 public:
  /// Operands in fp32 are rounded to 10 bits of mantissa with kTf32, then on the matrix units.
  /// `timed`: algorithms are chosen by time (`prepare`), problems with their file go to this host's
  /// log; null: not.
  Blas(cudaStream_t stream, Precision precision, const calm_host *timed = nullptr);
  ~Blas();
  /// Leaves what the library holds to the end of the process: its device is lost.
  void abandon();
  Blas(const Blas &) = delete;
  Blas &operator=(const Blas &) = delete;

  /// Whether the library has an algorithm for it. Addresses do not matter: as aligned as memory is.
  bool can(const Product &product);
  bool timed() const { return cache_ != nullptr; }
  /// Chooses by time for those that it has not done so for: what the file says, else the fastest of
  /// the library's first few. Nothing is read or written where operands lie: only how far their
  /// addresses are aligned counts. Waits for the stream, on which nothing else may be under way.
  void prepare(const std::vector<Product> &products);
  /// Unless prepared, the algorithm is the library's first choice for the sizes and the alignment,
  /// tokens rounded up: batches of about as many share one, whose code is loaded once. Never one
  /// that adds up in an order that changes between runs. `side`: on the second stream, beside the
  /// first.
  void multiply(const Product &product, bool side, cudaStream_t stream);

 private:
  struct Choice;
  using Key = std::array<std::int64_t, 18>;
  Key key_of(const Product &product) const;
  /// Asks for products like those to come. The library's first answers take it 0.1 s and more, for
  /// tables of its own; so they are given on another thread, beside what is done before the first
  /// program is compiled: reading data, making weights.
  void rehearse() const;
  void end_rehearsal();
  /// Null where there is none.
  Choice *choose(const Product &product);
  void describe(const Product &product, Choice &choice) const;
  /// The library's candidates, the one first that it takes to be fastest.
  std::vector<cublasLtMatmulHeuristicResult_t> ask(const Product &product, const Choice &choice,
                                                   int most) const;
  /// Lets a product have this algorithm, if the library knows it for one of such sizes.
  bool adopt(Choice &choice, const cublasLtMatmulAlgo_t &algorithm) const;
  /// What is kept for `problem`, if it can be used.
  bool take(Choice &choice, const Problem &problem);
  Algorithm fastest(const Product &product, const Choice &choice, std::byte *memory) const;
  void launch(const Product &product, const Choice &choice, const cublasLtMatmulAlgo_t &algorithm,
              std::size_t bytes, const DeviceMemory &workspace, cudaStream_t stream) const;

  void *handle_ = nullptr;
  std::future<void> rehearsal_;
  cudaStream_t stream_;
  bool tf32_, bf16_;
  std::array<DeviceMemory, 2> workspaces_;  // of the first stream, of the second
  std::map<Key, std::unique_ptr<Choice>> choices_;
  std::unique_ptr<AlgorithmCache> cache_;
};

}  // namespace calm::cuda
