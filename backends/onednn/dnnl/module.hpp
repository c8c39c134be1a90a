// What the backend wants of oneDNN: products of matrices, behind one interface. The code behind it
// is a library of its own (lib/calm/onednn_dnnl.so), loaded when a session's options ask for
// oneDNN's products: libdnnl.so is tens of megabytes, which no other start should read.
#pragma once

#include <compare>
#include <cstddef>
#include <memory>
#include <string>

namespace calm::onednn {

/// op(b) is [k, n]; `transposed`: stored [n, k]. Packed in oneDNN's own layout, as bf16 or fp32.
struct MatrixSpec {
  std::size_t k = 0, n = 0;
  bool transposed = false;
  bool bf16 = false;

  auto operator<=>(const MatrixSpec &) const = default;
};

/// By a matrix:  out[rows, n] = a[rows, k] b, b packed [k, n].
/// Over rows:    out[k, n] += sum over t of a[t, k] b[t, n].
/// The operands are fp32, or bf16 with fp32 sums; `out` is fp32. All are without gaps between rows:
/// for others oneDNN 2.6 has slow loops only.
struct ProductSpec {
  bool over_rows = false;
  bool bf16 = false;
  std::size_t rows = 0, k = 0, n = 0;

  auto operator<=>(const ProductSpec &) const = default;
};

/// A product with memory objects of its own: for one thread at a time.
class BoundProduct {
 public:
  virtual ~BoundProduct() = default;
  /// `b` is read over rows only: by a matrix it was given to bind().
  virtual void run(const void *a, const void *b, float *out) = 0;
};

/// A product compiled for its shape.
class CompiledProduct {
 public:
  virtual ~CompiledProduct() = default;
  /// Whether oneDNN has nothing better for this shape than its plain loops.
  virtual bool is_reference() const = 0;
  /// Bytes that a run uses, 64-byte aligned.
  virtual std::size_t scratch() const = 0;
  virtual std::unique_ptr<BoundProduct> bind(const void *packed, void *scratch) const = 0;
};

/// Packs matrices of one shape, one at a time.
class MatrixPacker {
 public:
  virtual ~MatrixPacker() = default;
  virtual std::size_t bytes() const = 0;
  virtual void pack(const float *b, void *packed) = 0;
};

/// Failures of oneDNN are std::runtime_error.
class DnnlModule {
 public:
  virtual ~DnnlModule() = default;
  virtual std::string version() const = 0;
  /// Whether this processor multiplies bf16 faster than fp32.
  virtual bool fast_bf16() const = 0;
  virtual std::unique_ptr<MatrixPacker> packer(const MatrixSpec &spec) = 0;
  virtual std::unique_ptr<CompiledProduct> product(const ProductSpec &spec) = 0;
};

/// The only symbol of the library, "calm_onednn_open"; throws nothing, null when oneDNN does not
/// work here.
using OpenDnnl = DnnlModule *(*)();
inline constexpr char kOpenDnnl[] = "calm_onednn_open";

}  // namespace calm::onednn
