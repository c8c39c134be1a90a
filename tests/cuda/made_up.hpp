#pragma once

#include <cuda_runtime.h>

namespace calm::cuda_test {

/// Each block's numbers the other way round.
void reverse(const float *x, float *y, unsigned blocks, unsigned threads);
/// Six results a lane, of a step of 4 in segments of 8.
void shuffle(int *result);
void meet_in_part();
void outlive(int *result);
void read_unwritten(float *y);
void too_many_threads();
/// *x = (*x + by) * times
void add(float *x, float by, float times, cudaStream_t stream);

}  // namespace calm::cuda_test
