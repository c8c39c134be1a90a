#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace calm::comm {

/// What a launcher (mpirun, srun) says of this process.
struct Launch {
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;  ///< 1: started alone
  std::string variable;     ///< that says so; empty where none does
};

/// By the variables of Open MPI, MPICH and those like it, Slurm's steps: the first pair of them
/// that is whole and makes sense. `variable` answers null for one that is not set.
Launch launch_of(const std::function<const char *(const char *)> &variable);

/// Of this process. [any]
Launch launch_of_process();

}  // namespace calm::comm
