// Casts of weights, all in one launch (cuda/kernels/cast.cu).
#include <gtest/gtest.h>

#include <cuda_bf16.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/kernel.hpp"
#include "tests/cuda/node.hpp"

namespace calm::cuda {
void cast_joined(const Launch *launches, std::size_t n);
}

namespace calm::cuda_test {
namespace {

TEST(CastOfWeights, LeavesZerosInRowsThatThereAreNone) {
  for (const std::int64_t rows : {1, 3, 400}) {
    const std::int64_t columns = 5;
    std::vector<float> x(static_cast<std::size_t>(rows * columns));
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = 1.0F + static_cast<float>(i % 100);
    }
    Operands o("cast");
    o.in(x, {rows, columns});
    const auto *const y = o.out<__nv_bfloat16>({rows + 7, columns});
    o.run([](const cuda::Launch &launch) { cuda::cast_joined(&launch, 1); });
    for (std::size_t i = 0; i < x.size() + 7 * 5; ++i) {
      ASSERT_EQ(__bfloat162float(y[i]), i < x.size() ? x[i] : 0.0F) << rows << ", " << i;
    }
  }
}

}  // namespace
}  // namespace calm::cuda_test
