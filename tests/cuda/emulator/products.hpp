// A product as cuBLASLt describes it.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

namespace calm_emulated {

struct Layout {
  cudaDataType type;
  std::int64_t rows, columns, ld;
  std::int64_t batch = 1, stride = 0;
};

struct Desc {
  cublasComputeType_t compute;
  cudaDataType scale;
  cublasOperation_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float *bias = nullptr;
  void *aux = nullptr;
  std::int64_t aux_ld = 0;
  std::int32_t multiprocessors = 0;  // that it is to take; 0: all
  int aux_type = -1;                 // as the result
  bool refused = false;
};

struct Product {
  Desc desc;
  Layout a, b, c, d;
  const void *from_a, *from_b, *from_c;
  void *to;
  float alpha, beta;
};

inline bool known(cudaDataType type) { return type == CUDA_R_32F || type == CUDA_R_16BF; }
inline std::size_t size_of(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

inline bool has_aux(cublasLtEpilogue_t e) {
  return e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}
inline bool has_bias(cublasLtEpilogue_t e) {
  return e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_BIAS ||
         e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}
inline bool has_gelu(cublasLtEpilogue_t e) {
  return e == CUBLASLT_EPILOGUE_GELU || e == CUBLASLT_EPILOGUE_GELU_BIAS ||
         e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}

void multiply(const Product &product);

}  // namespace calm_emulated
