#include "core/comm/ranks.hpp"

#include <vector>

namespace calm::comm {

void Ranks::sum(void *values, std::uint64_t count, calm_dtype dtype) const {
  if (several() && count > 0) {
    call(comm_->all_reduce, comm_->self, values, count, dtype);
  }
}

void Ranks::broadcast(void *data, std::uint64_t bytes) const {
  if (several() && bytes > 0) {
    call(comm_->broadcast, comm_->self, data, bytes, 0U);
  }
}

void Ranks::agree(calm_status status, const std::exception_ptr &failure) const {
  std::vector<double> all(count(), 0.0);
  all[rank()] = status;
  sum(all);
  for (std::uint32_t r = 0; r < all.size(); ++r) {
    if (all[r] == 0) {
      continue;
    }
    if (r == rank()) {
      std::rethrow_exception(failure);
    }
    throw PeerFailed(static_cast<calm_status>(all[r]), r);
  }
}

}  // namespace calm::comm
