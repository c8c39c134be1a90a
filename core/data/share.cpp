#include <algorithm>
#include <numeric>
#include <vector>

#include "core/data/batch.hpp"

namespace calm::data {

// Longest processing time first (Graham 1969): the fullest rank has at most 4/3 of the least
// possible.
std::vector<std::uint32_t> share_of(const Dataset &dataset, std::span<const std::uint32_t> which,
                                    Share share) {
  if (share.of <= 1) {
    return {which.begin(), which.end()};
  }
  const auto length = [&](std::size_t i) { return dataset.sequence(which[i]).size(); };
  std::vector<std::size_t> order(which.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  std::vector<std::size_t> loads(share.of, 0);
  std::vector<bool> own(which.size(), false);
  for (const std::size_t i : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += length(i);
    own[i] = least - loads.begin() == static_cast<std::ptrdiff_t>(share.rank);
  }
  std::vector<std::uint32_t> mine;
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (own[i]) {
      mine.push_back(which[i]);
    }
  }
  return mine;
}

}  // namespace calm::data
