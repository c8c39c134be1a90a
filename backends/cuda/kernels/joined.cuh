// Many tensors in one launch, as blocks of one list.
#pragma once

namespace calm::cuda {

/// The tensor that a block belongs to, by halving: first_block[k] is the first of tensor k.
__device__ inline int tensor_of_block(const int *first_block, int count, int block) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (first_block[middle] <= block) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace calm::cuda
