#include "cuda/blas.hpp"

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <string>

#include "cuda/cublaslt.hpp"
#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr std::int64_t kMaxAlign = 256;

std::int64_t align_of(const void *pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return address == 0 ? kMaxAlign
                      : static_cast<std::int64_t>(
                            std::min<std::uintptr_t>(address & (~address + 1), kMaxAlign));
}

cudaDataType_t type_of(calm_dtype type) { return type == CALM_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

}  // namespace

/// What one size of product needs beside its addresses.
struct Blas::Choice {
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, with = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
  bool found = false;

  Choice() = default;
  Choice(const Choice &) = delete;
  Choice &operator=(const Choice &) = delete;
  ~Choice() {
    for (auto *const layout : {a, b, with, out}) {
      if (layout != nullptr) {
        cublaslt().layout_destroy(layout);
      }
    }
    if (desc != nullptr) {
      cublaslt().desc_destroy(desc);
    }
  }
};

Blas::Blas(cudaStream_t stream, Precision precision)
    : tf32_(precision == Precision::kTf32),
      workspaces_{DeviceMemory(kWorkspace, stream), DeviceMemory(kWorkspace, stream)} {
  cublasLtHandle_t handle = nullptr;
  check_blas(cublaslt().create(&handle), "opening");
  handle_ = handle;
}

Blas::~Blas() {
  choices_.clear();
  if (handle_ != nullptr) {
    cublaslt().destroy(static_cast<cublasLtHandle_t>(handle_));
  }
}

// The library counts column after column: there our row-major out [m, n] is an n by m matrix,
// out' = op(b)' op(a)'.
const Blas::Choice *Blas::choose(const Product &p) {
  const Key key{p.m,
                p.n,
                p.k,
                p.transpose_a,
                p.transpose_b,
                p.type,
                p.out_type,
                p.lda,
                p.ldb,
                p.ld_out,
                static_cast<std::int64_t>(p.finish),
                p.finish == Finish::kNone ? 0 : p.ld_with,
                align_of(p.a),
                align_of(p.b),
                align_of(p.out),
                p.finish == Finish::kNone ? 0 : align_of(p.with)};
  std::unique_ptr<Choice> &known = choices_[key];
  if (known == nullptr) {
    known = std::make_unique<Choice>();
    try {
      look_up(p, *known);
    } catch (...) {
      choices_.erase(key);
      throw;
    }
  }
  return known->found ? known.get() : nullptr;
}

void Blas::look_up(const Product &p, Choice &choice) {
  const Cublaslt &lt = cublaslt();
  const bool tf32 = tf32_ && p.type == CALM_F32;
  check_blas(lt.desc_create(&choice.desc, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                            CUDA_R_32F),
             "describing a product");
  const auto describe = [&](cublasLtMatmulDescAttributes_t attribute, const auto &value) {
    check_blas(lt.desc_set(choice.desc, attribute, &value, sizeof value), "describing a product");
  };
  describe(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  describe(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.finish == Finish::kGelu || p.finish == Finish::kGeluGrad) {
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE,
             p.finish == Finish::kGelu ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_DGELU);
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.ld_with);
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE,
             static_cast<std::int32_t>(type_of(p.out_type)));
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.with);
  }
  const auto layout = [&](cublasLtMatrixLayout_t *to, calm_dtype type, std::int64_t rows,
                          std::int64_t columns, std::int64_t ld) {
    check_blas(lt.layout_create(to, type_of(type), static_cast<std::uint64_t>(columns),
                                static_cast<std::uint64_t>(rows), ld),
               "describing a matrix");
  };
  layout(&choice.b, p.type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb);
  layout(&choice.a, p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda);
  layout(&choice.out, p.out_type, p.m, p.n, p.ld_out);
  layout(&choice.with, p.out_type, p.m, p.n, p.finish == Finish::kAdd ? p.ld_with : p.ld_out);

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
  const auto out_align = static_cast<std::uint32_t>(align_of(p.out));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<std::uint32_t>(align_of(p.b)));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<std::uint32_t>(align_of(p.a)));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
         p.finish == Finish::kAdd ? static_cast<std::uint32_t>(align_of(p.with)) : out_align);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out_align);
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status =
      lt.heuristic(static_cast<cublasLtHandle_t>(handle_), choice.desc, choice.b, choice.a,
                   choice.with, choice.out, preference, 1, &result, &count);
  lt.preference_destroy(preference);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE) {
    check_blas(status, "choosing an algorithm");
    choice.found = count > 0;
  }
  choice.algorithm = result.algo;
  choice.workspace = result.workspaceSize;
}

bool Blas::can(const Product &product) { return choose(product) != nullptr; }

void Blas::multiply(const Product &p, bool side, cudaStream_t stream) {
  const Choice *const choice = choose(p);
  if (choice == nullptr) {
    throw Error(CALM_FAILED, "cublasLt: no algorithm for a product of " + std::to_string(p.m) +
                                 " x " + std::to_string(p.n) + " x " + std::to_string(p.k));
  }
  const Cublaslt &lt = cublaslt();
  if (p.finish == Finish::kGelu || p.finish == Finish::kGeluGrad) {
    check_blas(lt.desc_set(choice->desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &p.with,
                           sizeof p.with),
               "describing a product");
  }
  const float one = 1;
  const float beta = p.finish == Finish::kAdd ? 1.0F : 0.0F;
  check_blas(lt.matmul(static_cast<cublasLtHandle_t>(handle_), choice->desc, &one, p.b, choice->b,
                       p.a, choice->a, &beta, p.finish == Finish::kAdd ? p.with : p.out,
                       choice->with, p.out, choice->out, &choice->algorithm,
                       workspaces_[side ? 1 : 0].data(), choice->workspace, stream),
             "multiplying");
}

}  // namespace calm::cuda
