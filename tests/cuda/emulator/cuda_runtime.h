// Found before NVIDIA's header of this name: that one, and what nvcc would add to it.
#pragma once

#include_next <cuda_runtime.h>

#include "tests/cuda/emulator/device.hpp"
#include "tests/cuda/emulator/launch.hpp"
