#pragma once

#include <calm/comm.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/comm/launch.hpp"

// What the program wants of MPI. The code behind it is a library of its own (lib/calm/mpi_comm.so),
// opened only where several processes were launched: no other start should read libmpi.
namespace calm::comm {

/// This process among its ranks. One a process, kept to its end.
class Module {
 public:
  virtual ~Module() = default;
  /// Lives as long as the module.
  virtual const calm_comm &table() const = 0;
  /// Processors that fall to this rank: of those it may use its part, which it shares with every
  /// rank of the host that may use them too. >= 1.
  virtual std::uint32_t processors() const = 0;
  /// The end of a rank's work; nothing of the module is used afterwards. A rank that `failed` waits
  /// two seconds for the others to fail as well, then ends them all; one that did not waits for
  /// them. Where a rank is gone, or the others are ended, it does not return: the process ends with
  /// `exit_code`, so everything must have been said and written.
  virtual void leave(int exit_code, bool failed) = 0;
};

/// The only symbol of the library, "calm_comm_open". `stop` is non-zero once a signal asked to
/// stop; it outlives the module. Throws nothing: null and a reason when MPI does not work here.
using OpenModule = Module *(*)(const std::atomic<int> *stop, calm_error *error);
inline constexpr char kOpenModule[] = "calm_comm_open";

/// The module of a process that `launch` describes, from PREFIX/lib/calm/mpi_comm.so; null when it
/// was started alone. CALM_UNAVAILABLE naming the file when it is missing, does not work here, or
/// finds another number of ranks than were launched: then it was built with another MPI than the
/// launcher's.
std::unique_ptr<Module> open_module(const Launch &launch, const std::string &prefix,
                                    const std::atomic<int> *stop);

}  // namespace calm::comm
