// Products of matrices that oneDNN does instead of kernels/matmul.cpp, when the session's options
// ask for it: primitives are compiled with the program, for 16, 32, 48 and 64 rows. Other numbers
// of rows are padded with zeros to one of these.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "onednn/dnnl/module.hpp"
#include "onednn/kernel.hpp"
#include "onednn/pack.hpp"

namespace calm::onednn {

inline constexpr std::size_t kProductRows = 16;
inline constexpr std::size_t kProductSizes = kChunk / kProductRows;

/// A product of one shape for blocks of up to kChunk rows. `spec.rows` is not used.
struct Product {
  ProductSpec spec;
  /// Of kProductRows times 1, 2, 3 and 4 rows.
  std::array<std::shared_ptr<const CompiledProduct>, kProductSizes> sizes;

  /// Offsets in a run's scratch memory: copies of the operands and of the result, oneDNN's.
  std::size_t b_at() const;
  std::size_t out_at() const;
  std::size_t primitive_at() const;
  std::size_t scratch() const;
};

/// A product with one worker's memory objects.
struct ProductRun {
  /// `packed`: null over rows.
  ProductRun(std::shared_ptr<const Product> product, const std::byte *packed, std::byte *scratch);

  std::shared_ptr<const Product> product;
  std::array<std::unique_ptr<BoundProduct>, kProductSizes> sizes;
};

/// Which products oneDNN does, and its primitives. Products of a shape are shared.
class Products {
 public:
  /// Loads oneDNN. CALM_UNAVAILABLE when it is not there, or has no bf16 on this processor.
  explicit Products(bool bf16);

  /// By shape, options and instruction set alone, so that a program gives the same bits each time.
  bool takes(const Node &node, WeightType weights);
  std::shared_ptr<const Product> product(const Node &node);
  std::shared_ptr<MatrixPacker> packer(const PackShape &shape);
  bool bf16() const { return bf16_; }
  /// "oneDNN 2.6.3, bf16"
  std::string name() const;

 private:
  std::shared_ptr<const CompiledProduct> compiled(const ProductSpec &spec);

  bool bf16_;
  DnnlModule *module_;  // of the process
  std::map<ProductSpec, std::shared_ptr<const CompiledProduct>> compiled_;
  std::map<ProductSpec, std::shared_ptr<const Product>> products_;
  std::map<MatrixSpec, std::shared_ptr<MatrixPacker>> packers_;
};

/// The kernel of a product that `Products` takes; its calls carry a ProductRun.
const Kernel *product_kernel(const Node &node);

}  // namespace calm::onednn
