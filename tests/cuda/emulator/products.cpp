// Products as plain loops, summed in fp32 in the order of the common axis.
#include "tests/cuda/emulator/products.hpp"

#include <cuda_bf16.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace calm_emulated {
namespace {

float load(const void *from, std::int64_t i, cudaDataType type) {
  return type == CUDA_R_32F ? static_cast<const float *>(from)[i]
                            : __bfloat162float(static_cast<const __nv_bfloat16 *>(from)[i]);
}
void store(void *to, std::int64_t i, cudaDataType type, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float *>(to)[i] = value;
  } else {
    static_cast<__nv_bfloat16 *>(to)[i] = __float2bfloat16_rn(value);
  }
}

/// 10 bits of mantissa, to the nearest.
float as_tf32(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7f800000U) != 0x7f800000U) {
    bits = (bits + 0x1000U) & 0xffffe000U;
  }
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// gelu(x) = x s with s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
float sigmoid_of_gelu(float x) {
  return 1 / (1 + std::exp(-1.5957691F * (x + 0.044715F * x * x * x)));
}
float gelu(float x) { return x * sigmoid_of_gelu(x); }

/// op(x) packed, a column of `columns` numbers for each of its other axis: [rows, columns] of
/// column-major storage, or the other way round.
std::vector<float> pack(const Desc &desc, const Layout &x, const void *from, std::int64_t batch,
                        bool by_columns) {
  std::vector<float> packed;
  const std::int64_t outer = by_columns ? x.columns : x.rows;
  const std::int64_t inner = by_columns ? x.rows : x.columns;
  packed.reserve(static_cast<std::size_t>(outer * inner));
  for (std::int64_t i = 0; i < outer; ++i) {
    for (std::int64_t j = 0; j < inner; ++j) {
      const std::int64_t at = by_columns ? i * x.ld + j : j * x.ld + i;
      const float value = load(from, batch * x.stride + at, x.type);
      packed.push_back(desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? as_tf32(value) : value);
    }
  }
  return packed;
}

void finish(const Product &p, std::int64_t batch, std::int64_t i, std::int64_t j, float sum) {
  const Desc &e = p.desc;
  float value = p.alpha * sum;
  if (p.beta != 0) {
    value += p.beta * load(p.from_c, batch * p.c.stride + j * p.c.ld + i, p.c.type);
  }
  value += has_bias(e.epilogue) ? e.bias[i] : 0;
  const auto aux_type = e.aux_type < 0 ? p.d.type : static_cast<cudaDataType>(e.aux_type);
  const std::int64_t aux = j * e.aux_ld + i;
  if (has_aux(e.epilogue)) {
    store(e.aux, aux, aux_type, value);
  }
  store(p.to, batch * p.d.stride + j * p.d.ld + i, p.d.type,
        has_gelu(e.epilogue) ? gelu(value) : value);
}

}  // namespace

void multiply(const Product &p) {
  const auto m = static_cast<std::size_t>(p.d.rows);
  const auto n = static_cast<std::size_t>(p.d.columns);
  const std::int64_t depth = p.desc.transa == CUBLAS_OP_N ? p.a.columns : p.a.rows;
  const auto k = static_cast<std::size_t>(depth);
  std::vector<float> sums(m);
  for (std::int64_t batch = 0; batch < p.d.batch; ++batch) {
    const std::vector<float> a =  // [k, m]
        pack(p.desc, p.a, p.from_a, batch, p.desc.transa == CUBLAS_OP_N);
    const std::vector<float> b =  // [n, k]
        pack(p.desc, p.b, p.from_b, batch, p.desc.transb == CUBLAS_OP_N);
    for (std::size_t j = 0; j < n; ++j) {
      sums.assign(m, 0);
      for (std::size_t l = 0; l < k; ++l) {
        const float factor = b[j * k + l];
        const float *const column = a.data() + l * m;
        for (std::size_t i = 0; i < m; ++i) {
          sums[i] += factor * column[i];
        }
      }
      for (std::size_t i = 0; i < m; ++i) {
        finish(p, batch, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j), sums[i]);
      }
    }
  }
}

}  // namespace calm_emulated
