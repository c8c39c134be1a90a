#include "core/search/ranking.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace calm::search {

void Best::offer(Hit hit) {
  if (heap_.size() < limit_) {
    heap_.push_back(hit);
    std::push_heap(heap_.begin(), heap_.end(), better);
  } else if (limit_ > 0 && better(hit, heap_.front())) {
    std::pop_heap(heap_.begin(), heap_.end(), better);
    heap_.back() = hit;
    std::push_heap(heap_.begin(), heap_.end(), better);
  }
}

std::vector<Hit> Best::take() {
  std::sort_heap(heap_.begin(), heap_.end(), better);
  return std::move(heap_);
}

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kVector:
      return "vector";
    case Mode::kBm25:
      return "bm25";
    default:
      return "hybrid";
  }
}

std::vector<Result> ranked(std::span<const Hit> hits, Mode mode, std::size_t limit) {
  std::vector<Result> results;
  for (const Hit &hit : hits.first(std::min(limit, hits.size()))) {
    Result result{hit.passage, hit.score, {}, {}};
    (mode == Mode::kBm25 ? result.bm25 : result.vector) = hit.score;
    results.push_back(result);
  }
  return results;
}

std::vector<Result> fuse(std::span<const Hit> bm25, std::span<const Hit> vector,
                         std::size_t limit) {
  std::map<std::int64_t, Result> by_passage;
  const auto add = [&](std::span<const Hit> hits, std::optional<double> Result::*score) {
    for (std::size_t i = 0; i < hits.size(); ++i) {
      Result &result = by_passage[hits[i].passage];
      result.passage = hits[i].passage;
      result.*score = hits[i].score;
      result.score += 1 / (kFusion + static_cast<double>(i + 1));
    }
  };
  add(bm25, &Result::bm25);
  add(vector, &Result::vector);
  std::vector<Result> results;
  results.reserve(by_passage.size());
  for (const auto &[passage, result] : by_passage) {
    results.push_back(result);
  }
  // By passage already, which a stable sort keeps for ties.
  std::stable_sort(results.begin(), results.end(),
                   [](const Result &a, const Result &b) { return a.score > b.score; });
  if (results.size() > limit) {
    results.resize(limit);
  }
  return results;
}

}  // namespace calm::search
