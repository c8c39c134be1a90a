#include "core/search/search.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "core/search/query.hpp"

namespace calm::search {
namespace {

std::vector<Hit> by_words(const Index &index, std::string_view query, std::size_t limit) {
  const std::string expression = full_text_query(query);
  return expression.empty() ? std::vector<Hit>() : index.match(expression, limit);
}

std::vector<Result> of_mode(Mode mode, std::span<const Hit> bm25, std::span<const Hit> vector,
                            std::size_t limit) {
  return mode == Mode::kHybrid ? fuse(bm25, vector, limit)
                               : ranked(mode == Mode::kBm25 ? bm25 : vector, mode, limit);
}

using Places = std::unordered_map<std::string_view, std::vector<std::int64_t>>;

// Where the passages of the pairs are in the index.
Places find_passages(const Index &index, std::span<const data::TextPair> pairs) {
  Places places;
  for (const data::TextPair &pair : pairs) {
    places[pair.passage];
  }
  index.each_text([&](std::int64_t id, std::string_view text) {
    if (const auto at = places.find(text); at != places.end()) {
      at->second.push_back(id);
    }
  });
  return places;
}

// From 1; 0 when none of `wanted` is there.
std::size_t first_rank(std::span<const Result> results, std::span<const std::int64_t> wanted) {
  const auto at = std::find_if(results.begin(), results.end(), [&](const Result &result) {
    return std::find(wanted.begin(), wanted.end(), result.passage) != wanted.end();
  });
  return at == results.end() ? 0 : static_cast<std::size_t>(at - results.begin()) + 1;
}

}  // namespace

std::vector<Result> search(const Index &index, const VectorSide &side, std::string_view query,
                           Mode mode, std::size_t limit) {
  // A hybrid that stops where its answer stops would not know how its lists go on.
  const std::size_t depth = mode == Mode::kHybrid ? std::max(limit, kDepth) : limit;
  std::vector<Hit> bm25, vector;
  if (mode != Mode::kVector) {
    bm25 = by_words(index, query, depth);
  }
  if (mode != Mode::kBm25) {
    const std::vector<std::string_view> texts = {query};
    vector = side.scan->search(index, side.encoder->embed(texts), depth)[0];
  }
  return of_mode(mode, bm25, vector, limit);
}

Evaluation evaluate(const Index &index, const VectorSide &side,
                    std::span<const data::TextPair> pairs, std::span<const Mode> modes,
                    std::size_t k) {
  Evaluation evaluation;
  evaluation.queries = pairs.size();
  for (const Mode mode : modes) {
    evaluation.modes.push_back({mode, 0, 0});
  }
  const Places places = find_passages(index, pairs);
  const std::size_t depth = std::max(k, kDepth);
  constexpr auto kAtOnce = static_cast<std::size_t>(VectorScan::kQueries);
  for (std::size_t begin = 0; begin < pairs.size(); begin += kAtOnce) {
    const auto some = pairs.subspan(begin, std::min(kAtOnce, pairs.size() - begin));
    std::vector<std::vector<Hit>> vectors(some.size());
    if (side.encoder != nullptr) {
      std::vector<std::string_view> texts;
      for (const data::TextPair &pair : some) {
        texts.push_back(pair.query);
      }
      vectors = side.scan->search(index, side.encoder->embed(texts), depth);
    }
    for (std::size_t i = 0; i < some.size(); ++i) {
      const std::vector<std::int64_t> &wanted = places.at(some[i].passage);
      evaluation.absent += wanted.empty() ? 1U : 0U;
      const std::vector<Hit> bm25 = by_words(index, some[i].query, depth);
      for (Quality &quality : evaluation.modes) {
        const std::size_t rank = first_rank(of_mode(quality.mode, bm25, vectors[i], depth), wanted);
        quality.recall += rank >= 1 && rank <= k ? 1 : 0;
        quality.mrr += rank >= 1 && rank <= kDepth ? 1 / static_cast<double>(rank) : 0;
      }
    }
  }
  for (Quality &quality : evaluation.modes) {
    const double count = std::max(1.0, static_cast<double>(pairs.size()));
    quality.recall /= count;
    quality.mrr /= count;
  }
  return evaluation;
}

}  // namespace calm::search
