// libcublasLt as far as the engine calls it: products as plain loops. What is not emulated is
// refused, never ignored.
#include <cublasLt.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "tests/cuda/emulator/products.hpp"
#include "tests/cuda/emulator/stream.hpp"

// The library owns what is behind its handles.
struct cublasLtContext {};

namespace {

using calm_emulated::Desc;
using calm_emulated::has_aux;
using calm_emulated::has_bias;
using calm_emulated::has_gelu;
using calm_emulated::known;
using calm_emulated::Layout;
using calm_emulated::Product;

/// What algorithms differ in beside their number, which is their first word.
struct Algorithm {
  std::uint32_t scheme;
  std::size_t workspace;
  std::int64_t nanoseconds[2];  // a product: of A as it is, of A transposed
};
constexpr Algorithm kAlgorithms[] = {
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {10000, 10000}},
    {CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 4096, {9000, 9800}},
    {CUBLASLT_REDUCTION_SCHEME_INPLACE, 0, {1000, 1000}},  // in the order that blocks end in
    {CUBLASLT_REDUCTION_SCHEME_NONE, std::size_t{64} << 20, {1000, 1000}},
    {CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 0, {6000, 12000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {7000, 11000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {7000, 11000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {7000, 11000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {7000, 11000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {7000, 11000}},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 0, {2000, 2000}},  // the ninth of those that repeat their bits
};
std::atomic<std::uint64_t> calls[std::size(kAlgorithms)];
std::atomic<std::int32_t> last_multiprocessors;

/// Null for one that is none.
const Algorithm *behind(const cublasLtMatmulAlgo_t &algorithm) {
  const std::uint64_t number = algorithm.data[0];
  const bool known = number >= 1 && number <= std::size(kAlgorithms) &&
                     std::all_of(algorithm.data + 1, std::end(algorithm.data),
                                 [](std::uint64_t word) { return word == 0; });
  return known ? &kAlgorithms[number - 1] : nullptr;
}

struct Preference {
  std::size_t workspace = 0;
  std::uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
};

template <class To, class From>
To *behind(From *handle) {
  return reinterpret_cast<To *>(handle);
}

bool inside(const Layout &x) {
  return known(x.type) && x.rows > 0 && x.columns > 0 && x.ld >= x.rows && x.batch > 0;
}

/// Whether a device would do it, as far as the documentation tells.
cublasStatus_t judge(const Desc &desc, const Layout &a, const Layout &b, const Layout &c,
                     const Layout &d) {
  const bool ta = desc.transa != CUBLAS_OP_N;
  const bool tb = desc.transb != CUBLAS_OP_N;
  const bool fits = (ta ? a.columns : a.rows) == d.rows && (tb ? b.rows : b.columns) == d.columns &&
                    (ta ? a.rows : a.columns) == (tb ? b.columns : b.rows) && c.rows == d.rows &&
                    c.columns == d.columns && a.batch == d.batch && b.batch == d.batch;
  if (!fits || !inside(a) || !inside(b) || !inside(c) || !inside(d)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const bool arithmetic = desc.scale == CUDA_R_32F && a.type == b.type && c.type == d.type &&
                          (a.type == CUDA_R_16BF || d.type == CUDA_R_32F) &&
                          (desc.compute == CUBLAS_COMPUTE_32F ||
                           (desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a.type == CUDA_R_32F));
  const bool epilogue = desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT || has_aux(desc.epilogue) ||
                        has_bias(desc.epilogue) || has_gelu(desc.epilogue);
  const bool aux = !has_aux(desc.epilogue) ||
                   (desc.aux_ld % 8 == 0 && desc.aux_ld >= d.rows && d.batch == 1 &&
                    (desc.aux_type < 0 || known(static_cast<cudaDataType>(desc.aux_type))));
  return arithmetic && epilogue && aux && !desc.refused ? CUBLAS_STATUS_SUCCESS
                                                        : CUBLAS_STATUS_NOT_SUPPORTED;
}

template <class T>
cublasStatus_t take(T &to, const void *from, std::size_t bytes) {
  if (bytes != sizeof to) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *desc = behind<cublasLtMatmulDescOpaque_t>(new Desc{compute, scale});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete behind<Desc>(desc);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, std::size_t bytes) {
  Desc &desc = *behind<Desc>(handle);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(desc.transa, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(desc.transb, value, bytes);
    case CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET:
      return take(desc.multiprocessors, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(desc.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(desc.bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return take(desc.aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return take(desc.aux_ld, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return take(desc.aux_type, value, bytes);
    default:
      desc.refused = true;
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  *layout = behind<cublasLtMatrixLayoutOpaque_t>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete behind<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, std::size_t bytes) {
  Layout &layout = *behind<Layout>(handle);
  std::int32_t batch = 0;
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      if (take(batch, value, bytes) != CUBLAS_STATUS_SUCCESS) {
        return CUBLAS_STATUS_INVALID_VALUE;
      }
      layout.batch = batch;
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return take(layout.stride, value, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  *preference = behind<cublasLtMatmulPreferenceOpaque_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete behind<Preference>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, std::size_t bytes) {
  Preference &p = *behind<Preference>(preference);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return take(p.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return take(p.schemes, value, bytes);
    default:
      return CUBLAS_STATUS_SUCCESS;
  }
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result) {
  *result = {};
  result->algo = *algorithm;
  const Algorithm *const known = behind(*algorithm);
  result->workspaceSize = known == nullptr ? 0 : known->workspace;
  result->state = known == nullptr
                      ? CUBLAS_STATUS_NOT_SUPPORTED
                      : judge(*behind<Desc>(desc), *behind<Layout>(a), *behind<Layout>(b),
                              *behind<Layout>(c), *behind<Layout>(d));
  return result->state;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, std::size_t bytes,
                                                    std::size_t *written) {
  const Algorithm *const known = behind(*algorithm);
  if (known == nullptr || attribute != CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME ||
      bytes != sizeof known->scheme) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(value, &known->scheme, bytes);
  *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

std::size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t *results,
                                              int *found) {
  *found = 0;
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const Preference &preferred = *behind<Preference>(preference);
  for (std::uint64_t i = 1; i <= std::size(kAlgorithms) && *found < asked; ++i) {
    cublasLtMatmulAlgo_t algorithm{};
    algorithm.data[0] = i;
    const bool fits = (kAlgorithms[i - 1].scheme & ~preferred.schemes) == 0 &&
                      kAlgorithms[i - 1].workspace <= preferred.workspace;
    status = cublasLtMatmulAlgoCheck(handle, desc, a, b, c, d, &algorithm, &results[*found]);
    *found += fits && status == CUBLAS_STATUS_SUCCESS ? 1 : 0;
  }
  return status;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              std::size_t bytes, cudaStream_t stream) {
  cublasLtMatmulHeuristicResult_t checked{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, desc, a_layout, b_layout, c_layout,
                                                        d_layout, algorithm, &checked);
  if (status != CUBLAS_STATUS_SUCCESS) {
    return status;
  }
  const Product p{*behind<Desc>(desc),
                  *behind<Layout>(a_layout),
                  *behind<Layout>(b_layout),
                  *behind<Layout>(c_layout),
                  *behind<Layout>(d_layout),
                  a,
                  b,
                  c,
                  d,
                  *static_cast<const float *>(alpha),
                  *static_cast<const float *>(beta)};
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(d) % calm_emulated::size_of(p.d.type) == 0 &&
      reinterpret_cast<std::uintptr_t>(p.desc.aux) % 16 == 0;
  if (checked.workspaceSize > bytes || !aligned || (has_aux(p.desc.epilogue) && !p.desc.aux) ||
      (has_bias(p.desc.epilogue) && !p.desc.bias)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const std::uint64_t number = algorithm->data[0] - 1;
  const std::int64_t taken = kAlgorithms[number].nanoseconds[p.desc.transa == CUBLAS_OP_N ? 0 : 1];
  calls[number] += 1;
  last_multiprocessors = p.desc.multiprocessors;
  std::atomic<std::int64_t> *const clock = stream == nullptr ? nullptr : &stream->clock();
  calm_emulated::submit(stream, [p, workspace, used = checked.workspaceSize, taken, clock] {
    if (used > 0) {
      std::memset(workspace, 0xff, used);
    }
    calm_emulated::multiply(p);
    if (clock != nullptr) {
      *clock += taken;
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

/// How many multiprocessors the last product put on a stream was to take; 0: all.
extern "C" std::int32_t calm_emulated_multiprocessors() { return last_multiprocessors; }

/// How often products were put on streams with an algorithm: its number.
extern "C" std::uint64_t calm_emulated_products(std::uint64_t algorithm) {
  return calls[algorithm - 1];
}
