#include "cuda/blas.hpp"

#include <calm/cpp/error.hpp>

#include <cublasLt.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cuda/error.hpp"
#include "cuda/library.hpp"

namespace calm::cuda {
namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr std::uint32_t kMaxAlign = 256;

/// The functions used, each of the type its header declares. Their types are the same in all of
/// kMajors.
struct Library {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
};

/// The version we were compiled with first.
std::vector<std::string> sonames() {
  std::vector<std::string> names;
  for (const int major : {CUBLAS_VER_MAJOR, 13, 12}) {
    std::string name = "libcublasLt.so." + std::to_string(major);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Library open_library_of_products() {
  const std::vector<std::string> names = sonames();
  std::string why;
  void *const handle = open_library(in_usual_places(names), &why);
  if (handle == nullptr) {
    throw Error(CALM_UNAVAILABLE, "cuBLASLt: " + why + "; LD_LIBRARY_PATH may name its folder");
  }
  Library lt;
  const auto get = [&](auto &function, const char *symbol) {
    find(handle, function, symbol, names.front());
  };
  get(lt.create, "cublasLtCreate");
  get(lt.destroy, "cublasLtDestroy");
  get(lt.matmul, "cublasLtMatmul");
  get(lt.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  get(lt.desc_create, "cublasLtMatmulDescCreate");
  get(lt.desc_destroy, "cublasLtMatmulDescDestroy");
  get(lt.desc_set, "cublasLtMatmulDescSetAttribute");
  get(lt.layout_create, "cublasLtMatrixLayoutCreate");
  get(lt.layout_destroy, "cublasLtMatrixLayoutDestroy");
  get(lt.preference_create, "cublasLtMatmulPreferenceCreate");
  get(lt.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  get(lt.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  return lt;
}

const Library &library() {
  static const Library instance = open_library_of_products();
  return instance;
}

std::uint32_t align_of(const void *pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(address & (~address + 1), kMaxAlign));
}

}  // namespace

void open_blas() { library(); }

/// What one size of product needs beside its addresses.
struct Blas::Choice {
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;

  Choice() = default;
  Choice(const Choice &) = delete;
  Choice &operator=(const Choice &) = delete;
  ~Choice() {
    for (auto *const layout : {a, b, out}) {
      if (layout != nullptr) {
        library().layout_destroy(layout);
      }
    }
    if (desc != nullptr) {
      library().desc_destroy(desc);
    }
  }
};

Blas::Blas(cudaStream_t stream, bool tf32) : tf32_(tf32), workspace_(kWorkspace, stream) {
  cublasLtHandle_t handle = nullptr;
  check_blas(library().create(&handle), "opening");
  handle_ = handle;
}

Blas::~Blas() {
  choices_.clear();
  if (handle_ != nullptr) {
    library().destroy(static_cast<cublasLtHandle_t>(handle_));
  }
}

// The library counts column after column: there our row-major out [m, n] is an n by m matrix,
// out' = op(b)' op(a)'.
const Blas::Choice &Blas::choose(const Product &p) {
  const Key key{p.m,           p.n,           p.k,           p.transpose_a,
                p.transpose_b, align_of(p.a), align_of(p.b), align_of(p.out)};
  std::unique_ptr<Choice> &known = choices_[key];
  if (known != nullptr) {
    return *known;
  }
  const Library &lt = library();
  auto choice = std::make_unique<Choice>();
  check_blas(lt.desc_create(&choice->desc,
                            tf32_ ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "describing a product");
  const cublasOperation_t first = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  lt.desc_set(choice->desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
  lt.desc_set(choice->desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
  const auto layout = [&](cublasLtMatrixLayout_t *to, std::int64_t rows, std::int64_t columns) {
    check_blas(lt.layout_create(to, CUDA_R_32F, static_cast<std::uint64_t>(columns),
                                static_cast<std::uint64_t>(rows), columns),
               "describing a matrix");
  };
  layout(&choice->b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n);
  layout(&choice->a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k);
  layout(&choice->out, p.m, p.n);

  cublasLtMatmulPreference_t preference = nullptr;
  check_blas(lt.preference_create(&preference), "choosing an algorithm");
  const std::size_t workspace = kWorkspace;
  const std::uint32_t schemes =
      CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto &value) {
    lt.preference_set(preference, attribute, &value, sizeof value);
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align_of(p.b));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align_of(p.a));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align_of(p.out));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align_of(p.out));
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  const cublasStatus_t status =
      lt.heuristic(static_cast<cublasLtHandle_t>(handle_), choice->desc, choice->b, choice->a,
                   choice->out, choice->out, preference, 1, &found, &count);
  lt.preference_destroy(preference);
  check_blas(status, "choosing an algorithm");
  if (count == 0) {
    throw Error(CALM_FAILED, "cublasLt: no algorithm for a product of " + std::to_string(p.m) +
                                 " x " + std::to_string(p.n) + " x " + std::to_string(p.k));
  }
  choice->algorithm = found.algo;
  choice->workspace = found.workspaceSize;
  known = std::move(choice);
  return *known;
}

void Blas::multiply(const Product &p, cudaStream_t stream) {
  const Choice &choice = choose(p);
  const float one = 1;
  const float zero = 0;
  check_blas(library().matmul(static_cast<cublasLtHandle_t>(handle_), choice.desc, &one, p.b,
                              choice.b, p.a, choice.a, &zero, p.out, choice.out, p.out, choice.out,
                              &choice.algorithm, workspace_.data(), choice.workspace, stream),
             "multiplying");
}

}  // namespace calm::cuda
