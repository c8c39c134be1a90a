#include "onednn/products.hpp"

#include <calm/ops/matmul.h>
#include <dlfcn.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
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

std::size_t Product::b_at() const {
  return aligned(kChunk * spec.k * (spec.bf16 ? sizeof(std::uint16_t) : sizeof(float)));
}
std::size_t Product::rest_at() const {
  return b_at() + (spec.over_rows ? aligned(kChunk * spec.n *
                                            (spec.bf16 ? sizeof(std::uint16_t) : sizeof(float)))
                                  : 0);
}
std::size_t Product::primitive_at() const {
  return rest_at() + (rest == nullptr ? 0 : aligned(kProductRows * spec.n * sizeof(float)));
}
std::size_t Product::scratch() const {
  std::size_t most = rest == nullptr ? 0 : rest->scratch();
  for (const auto &size : sizes) {
    most = std::max(most, size->scratch());
  }
  return primitive_at() + aligned(most);
}

ProductRun::ProductRun(std::shared_ptr<const Product> of, const std::byte *packed,
                       std::byte *scratch)
    : product(std::move(of)) {
  std::byte *const primitives = scratch + product->primitive_at();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = product->sizes[i]->bind(packed, primitives);
  }
  if (product->rest != nullptr) {
    rest = product->rest->bind(packed, primitives);
  }
}

Products::Products(bool bf16) : bf16_(bf16), module_(the_module()) {
  if (bf16 && !module_->fast_bf16()) {
    throw Error(CALM_UNAVAILABLE,
                "option precision: expected a processor with AVX512_BF16 or AMX for bf16");
  }
}

bool Products::takes(const Node &node, WeightType weights) const {
  // Below these oneDNN takes longer than our own kernels (README.md).
  constexpr std::size_t kFewestTerms = 8;
  constexpr std::size_t kFewestSums = 16;
  if (weights == WeightType::kInt8 || (weights == WeightType::kBf16 && !bf16_) ||
      node.extent(CALM_MATMUL_A, 0) < kProductRows) {
    return false;
  }
  const ProductSpec spec = spec_of(node, bf16_);
  return !bf16_ || (spec.over_rows ? std::min(spec.k, spec.n) >= kFewestSums
                                   : spec.k >= kFewestTerms && spec.n >= kFewestTerms);
}

std::shared_ptr<const CompiledProduct> Products::compiled(const ProductSpec &spec) {
  std::shared_ptr<const CompiledProduct> &known = compiled_[spec];
  if (known == nullptr) {
    known = module_->product(spec);
  }
  return known;
}

std::shared_ptr<const Product> Products::product(const Node &node, std::size_t out_stride) {
  ProductSpec spec = spec_of(node, bf16_);
  spec.out_stride = out_stride;
  std::shared_ptr<const Product> &known = products_[spec];
  if (known == nullptr) {
    auto made = std::make_shared<Product>();
    made->spec = spec;
    for (std::size_t i = 0; i < made->sizes.size(); ++i) {
      spec.rows = (i + 1) * kProductRows;
      made->sizes[i] = compiled(spec);
    }
    if (!spec.over_rows) {
      spec.rows = kProductRows;
      spec.out_stride = spec.n;
      made->rest = compiled(spec);
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
