#include "onednn/products.hpp"

#include <calm/ops/matmul.h>
#include <dlfcn.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace calm::onednn {
namespace {

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Loaded once and kept: oneDNN's threads and caches outlive every session.
DnnlModule *load_module() {
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void *>(&product_kernel), &self) == 0) {
    throw Error(CALM_UNAVAILABLE, "expected to find the path of the onednn backend, found none");
  }
  // Beside the folder of the plugins, where no search for plugins meets it.
  std::string path = self.dli_fname;
  const std::size_t slash = path.rfind('/');
  path = (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) +
         "../onednn_dnnl.so";
  void *const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char *const why = dlerror();
    throw Error(CALM_UNAVAILABLE,
                "oneDNN's products: " + std::string(why == nullptr ? path.c_str() : why));
  }
  const auto open = reinterpret_cast<OpenDnnl>(dlsym(library, kOpenDnnl));
  DnnlModule *const module = open == nullptr ? nullptr : open();
  if (module == nullptr) {
    throw Error(CALM_UNAVAILABLE, "oneDNN's products: " + path + " does not work here");
  }
  return module;
}

DnnlModule *the_module() {
  static DnnlModule *const module = load_module();
  return module;
}

std::size_t element(const ProductSpec &spec) {
  return spec.bf16 ? sizeof(std::uint16_t) : sizeof(float);
}

bool is_over_rows(const Node &node) { return node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0; }

ProductSpec spec_of(const Node &node, bool bf16) {
  ProductSpec spec;
  spec.bf16 = bf16;
  spec.over_rows = is_over_rows(node);
  if (spec.over_rows) {
    spec.k = node.extent(CALM_MATMUL_A, 1);
    spec.n = node.extent(CALM_MATMUL_B, 1);
  } else {
    const PackShape shape = pack_shape(node);
    spec.k = shape.k;
    spec.n = shape.n;
  }
  return spec;
}

}  // namespace

std::size_t Product::b_at() const { return aligned(kChunk * spec.k * element(spec)); }
std::size_t Product::out_at() const {
  return b_at() + (spec.over_rows ? aligned(kChunk * spec.n * element(spec)) : 0);
}
std::size_t Product::primitive_at() const {
  return out_at() + (spec.over_rows ? 0 : aligned(kChunk * spec.n * sizeof(float)));
}
std::size_t Product::scratch() const {
  std::size_t most = 0;
  for (const auto &size : sizes) {
    most = std::max(most, size->scratch());
  }
  return primitive_at() + aligned(most);
}

ProductRun::ProductRun(std::shared_ptr<const Product> of, const std::byte *packed,
                       std::byte *scratch)
    : product(std::move(of)) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = product->sizes[i]->bind(packed, scratch + product->primitive_at());
  }
}

Products::Products(bool bf16) : bf16_(bf16), module_(the_module()) {
  if (bf16 && !module_->fast_bf16()) {
    throw Error(CALM_UNAVAILABLE,
                "option precision: expected a processor with AVX512_BF16 or AMX for bf16");
  }
}

bool Products::takes(const Node &node, WeightType weights) {
  // Below these oneDNN takes longer than our own kernels (README.md).
  constexpr std::size_t kFewestTerms = 8;
  constexpr std::size_t kFewestSums = 16;
  if (weights == WeightType::kInt8 || (weights == WeightType::kBf16 && !bf16_) ||
      node.extent(CALM_MATMUL_A, 0) < kProductRows) {
    return false;
  }
  ProductSpec spec = spec_of(node, bf16_);
  if (bf16_ && (spec.over_rows ? std::min(spec.k, spec.n) < kFewestSums
                               : std::min(spec.k, spec.n) < kFewestTerms)) {
    return false;
  }
  spec.rows = kChunk;
  return !compiled(spec)->is_reference();
}

std::shared_ptr<const CompiledProduct> Products::compiled(const ProductSpec &spec) {
  std::shared_ptr<const CompiledProduct> &known = compiled_[spec];
  if (known == nullptr) {
    known = module_->product(spec);
  }
  return known;
}

std::shared_ptr<const Product> Products::product(const Node &node) {
  ProductSpec spec = spec_of(node, bf16_);
  std::shared_ptr<const Product> &known = products_[spec];
  if (known == nullptr) {
    auto made = std::make_shared<Product>();
    made->spec = spec;
    for (std::size_t i = 0; i < made->sizes.size(); ++i) {
      spec.rows = (i + 1) * kProductRows;
      made->sizes[i] = compiled(spec);
    }
    known = std::move(made);
  }
  return known;
}

std::shared_ptr<MatrixPacker> Products::packer(const PackShape &shape) {
  const MatrixSpec spec{shape.k, shape.n, shape.transposed, bf16_};
  std::shared_ptr<MatrixPacker> &known = packers_[spec];
  if (known == nullptr) {
    known = module_->packer(spec);
  }
  return known;
}

std::string Products::name() const {
  return "oneDNN " + module_->version() + (bf16_ ? ", bf16" : ", fp32");
}

}  // namespace calm::onednn
