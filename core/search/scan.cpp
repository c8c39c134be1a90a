#include "core/search/scan.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <calm/ops/matmul.h>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/search/ranking.hpp"

namespace calm::search {
namespace {

// scores [Q, B] = queries [Q, D] vectors [B, D]^T
graph::Graph products(std::int64_t queries, std::int64_t dimension, graph::ParamLayout &layout,
                      const graph::OperatorLookup &operators) {
  constexpr std::int64_t kBlock = VectorScan::kBlock;
  graph::Graph graph("vector_scan", {kBlock, queries, 1}, CALM_F32, layout, operators);
  const Value q = graph.input("queries", type_of(CALM_F32, {queries, dimension}));
  const Value v = graph.input("vectors", type_of(CALM_F32, {kBlock, dimension}));
  const std::vector<Value> ins = {q, v};
  const std::vector<calm_value> attrs = {value("transpose_b", true)};
  graph.output("scores", graph.emit(CALM_OP_MATMUL, 1, ins, attrs)[0]);
  return graph;
}

}  // namespace

VectorScan::VectorScan(run::Session &session, graph::OperatorLookup operators,
                       std::int64_t dimension)
    : session_(&session), operators_(std::move(operators)), dimension_(dimension) {
  layout_.freeze();
}

run::Stage &VectorScan::stage(std::int64_t queries) {
  std::unique_ptr<run::Stage> &stage = queries == 1 ? one_ : many_;
  if (!stage) {
    stage = std::make_unique<run::Stage>(
        *session_, products(queries, dimension_, layout_, operators_), run::SlotBuffers{});
  }
  return *stage;
}

std::vector<std::vector<Hit>> VectorScan::search(const Index &index, std::span<const float> queries,
                                                 std::size_t limit) {
  std::vector<std::vector<Hit>> found;
  const auto most = static_cast<std::size_t>(kQueries * dimension_);
  for (std::size_t at = 0; at < queries.size(); at += most) {
    pass(index, queries.subspan(at, std::min(most, queries.size() - at)), limit, found);
  }
  return found;
}

void VectorScan::pass(const Index &index, std::span<const float> queries, std::size_t limit,
                      std::vector<std::vector<Hit>> &out) {
  const auto dimension = static_cast<std::size_t>(dimension_);
  const std::size_t count = queries.size() / dimension;
  const std::int64_t width = count == 1 ? 1 : kQueries;
  run::Stage &program = stage(width);
  std::vector<float> padded(queries.begin(), queries.end());
  padded.resize(static_cast<std::size_t>(width) * dimension);
  program.write("queries", padded);

  std::vector<Best> best(count, Best(limit));
  std::vector<std::int64_t> ids;
  std::vector<float> rows, scores;
  std::int64_t total = 0;
  for (std::int64_t after = 0;;) {
    ids.clear();
    rows.clear();
    const std::size_t block =
        index.read_vectors(after, static_cast<std::size_t>(kBlock), ids, rows);
    if (block == 0) {
      break;
    }
    total += static_cast<std::int64_t>(block);
    after = ids.back();
    rows.resize(static_cast<std::size_t>(kBlock) * dimension);
    program.write("vectors", rows);
    program.run();
    program.read("scores", scores);
    for (std::size_t q = 0; q < count; ++q) {
      const std::span<const float> line =
          std::span(scores).subspan(q * static_cast<std::size_t>(kBlock), block);
      for (std::size_t i = 0; i < block; ++i) {
        // Lengths were checked: this would be the backend.
        if (!std::isfinite(line[i])) {
          throw Error(CALM_INTERNAL, session_->who() + ": a score is not finite");
        }
        best[q].offer({ids[i], static_cast<double>(line[i])});
      }
    }
  }
  if (const std::int64_t passages = index.totals().passages; total != passages) {
    throw Error(CALM_CORRUPT_DATA, fmt::format("{}: expected a vector for each of {} passages, "
                                               "found {}",
                                               index.path(), passages, total));
  }
  for (Best &list : best) {
    out.push_back(list.take());
  }
}

}  // namespace calm::search
