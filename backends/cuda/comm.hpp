#pragma once

#include <calm/comm.h>
#include <calm/host.h>

#include <calm/cpp/value.hpp>

namespace calm::cuda {

/// The ranks that this process is one of; null for a process alone.
inline const calm_comm *comm_of(const calm_host &host) {
  return static_cast<const calm_comm *>(host.extension(host.self, literal(CALM_COMM_ID)));
}

}  // namespace calm::cuda
