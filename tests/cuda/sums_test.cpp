// Where sums over the ranks begin and who waits for them (cuda/sums.cpp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/ops/all_reduce.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/optimizer.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/fused.hpp"
#include "cuda/graph.hpp"

namespace calm::cuda_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kGrads = 0;
constexpr std::uint32_t kWorkspace = 1;
constexpr std::int64_t kMegabyte = std::int64_t{1} << 18;  // in elements

/// A program of one flat group: parameter i has `sizes[i]` elements.
class Program {
 public:
  explicit Program(const std::vector<std::int64_t> &sizes) {
    graph.workspace = kWorkspace;
    for (const std::int64_t size : sizes) {
      begins_.push_back(all_);
      all_ += size;
    }
    group_ = stored(0, all_);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      params_.push_back(stored(begins_[i], sizes[i]));
    }
    first_ = graph.add({});
  }

  /// The node that makes the gradient of a parameter.
  void backward(std::size_t i) {
    gradients_.resize(params_.size());
    gradients_[i] = graph.add_temporary(type_of(params_[i]));
    add("b" + std::to_string(i), CALM_OP_NEG, {}, {gradients_[i]});
  }
  /// The same, by parts that are added up behind everything: call `columns` there.
  void backward_by_parts(std::size_t i) {
    parts_ = graph.add_temporary(type_of(params_[i]));
    add("b" + std::to_string(i), CALM_OP_NEG, {}, {parts_});
  }
  void columns(std::size_t i) {
    gradients_.resize(params_.size());
    gradients_[i] = graph.add_temporary(type_of(params_[i]));
    add("c" + std::to_string(i), cuda::kSumColumns, {parts_}, {gradients_[i]});
    graph.nodes.back().own = true;
  }
  void accumulate(std::size_t i) {
    const auto size = static_cast<std::int64_t>(cuda::count(type_of(params_[i])));
    add("a" + std::to_string(i), CALM_OP_ACCUMULATE, {params_[i], gradients_[i], first_},
        {stored(begins_[i], size)});
  }
  /// Gradients in that order, then all are accumulated in the group's.
  void backward_and_accumulate(const std::vector<std::size_t> &order) {
    for (const std::size_t i : order) {
      backward(i);
    }
    for (std::size_t i = 0; i < params_.size(); ++i) {
      accumulate(i);
    }
  }
  void sum() { add("sum", CALM_OP_ALL_REDUCE, {group_}, {stored(0, all_)}); }
  void read(std::size_t i) {
    add("r" + std::to_string(i), CALM_OP_NEG, {params_[i]}, {graph.add_temporary({})});
  }
  void sum_of_workspace() {
    const std::uint32_t x = graph.add_temporary(type_of(group_));
    add("sum", CALM_OP_ALL_REDUCE, {x}, {x});
  }
  void other() { add("o", CALM_OP_NEG, {}, {graph.add_temporary({})}); }
  void norm() { add("norm", CALM_OP_GLOBAL_NORM, {group_}, {graph.add_temporary({})}); }

  std::vector<std::string> order() const {
    std::vector<std::string> names;
    for (const cuda::Node &node : graph.nodes) {
      names.push_back(node.origin);
    }
    return names;
  }
  /// What is added up, in megabytes from the group's beginning.
  std::vector<std::pair<double, double>> sums() const {
    std::vector<std::pair<double, double>> found;
    for (const cuda::Node &node : graph.nodes) {
      if (cuda::is_sum(node)) {
        const cuda::Value &x = graph.values[node.operands.front()];
        const cuda::Value &y = graph.values[node.operands.back()];
        EXPECT_EQ(x.place.offset, y.place.offset);
        EXPECT_EQ(x.place.offset, x.at);
        EXPECT_EQ(cuda::count(node.ins[0]), cuda::count(x.type));
        EXPECT_EQ(cuda::count(node.outs[0]), cuda::count(y.type));
        const double begin = static_cast<double>(x.at) / sizeof(float) / kMegabyte;
        found.emplace_back(begin, begin + static_cast<double>(cuda::count(x.type)) / kMegabyte);
      }
    }
    return found;
  }

  cuda::Graph graph;

 private:
  std::uint32_t stored(std::int64_t begin, std::int64_t size) {
    cuda::Value value;
    value.type.dtype = CALM_F32;
    value.type.rank = 1;
    value.type.shape[0] = size;
    value.at = static_cast<std::uint64_t>(begin) * sizeof(float);
    value.place = {reference::Place::In::kSlot, kGrads, value.at};
    const std::uint32_t id = graph.add(value);
    graph.values[id].root = 0;
    return id;
  }
  const calm_type &type_of(std::uint32_t id) const { return graph.values[id].type; }
  void add(const std::string &name, const std::string &op, std::vector<std::uint32_t> ins,
           std::vector<std::uint32_t> outs) {
    cuda::Node node;
    node.origin = name;
    node = cuda::make_node(graph, node, op, std::move(ins), std::move(outs));
    node.own = false;
    graph.nodes.push_back(std::move(node));
  }

  std::vector<std::int64_t> begins_;
  std::vector<std::uint32_t> params_, gradients_;
  std::int64_t all_ = 0;
  std::uint32_t group_ = 0, first_ = 0, parts_ = 0;
};

using Sums = std::vector<std::pair<double, double>>;

TEST(SumsOverRanks, BeginWhereTheirLastGradientIsMade) {
  Program p(std::vector<std::int64_t>(4, kMegabyte));
  p.backward_and_accumulate({3, 2, 1, 0});
  p.sum();
  p.norm();
  cuda::start_sums_early(p.graph);
  EXPECT_THAT(p.order(), ElementsAre("b3", "a3", "sum", "b2", "a2", "sum", "b1", "a1", "sum", "b0",
                                     "a0", "sum", "norm"));
  EXPECT_EQ(p.sums(), (Sums{{3, 4}, {2, 3}, {1, 2}, {0, 1}}));
  // Gradients of other parts go on meanwhile; who reads the group waits.
  EXPECT_THAT(cuda::joins_of_sums(p.graph), ElementsAre(12));
}

TEST(SumsOverRanks, AreOfWholeParametersAndNotTooSmall) {
  Program p({kMegabyte / 4, kMegabyte, kMegabyte / 2, kMegabyte / 4, kMegabyte / 2});
  p.backward_and_accumulate({4, 3, 2, 1, 0});
  p.sum();
  cuda::start_sums_early(p.graph);
  EXPECT_THAT(p.order(), ElementsAre("b4", "b3", "b2", "a2", "a3", "a4", "sum", "b1", "a1", "sum",
                                     "b0", "a0", "sum"));
  EXPECT_EQ(p.sums(), (Sums{{1.25, 2.5}, {0.25, 1.25}, {0, 0.25}}));
}

TEST(SumsOverRanks, OfASmallGroupStayOne) {
  Program p({kMegabyte / 4, kMegabyte / 4});
  p.backward(1);
  p.backward(0);
  p.accumulate(0);
  p.accumulate(1);
  p.sum();
  p.norm();
  const std::vector<std::string> before = p.order();
  cuda::start_sums_early(p.graph);
  EXPECT_EQ(p.order(), before);
  EXPECT_THAT(cuda::joins_of_sums(p.graph), ElementsAre(5));
}

TEST(SumsOverRanks, KeepTheOrderOfTheLayoutWhateverIsMadeFirst) {
  Program p(std::vector<std::int64_t>(3, kMegabyte));
  p.backward_and_accumulate({1, 2, 0});
  p.sum();
  cuda::start_sums_early(p.graph);
  EXPECT_THAT(p.order(), ElementsAre("b1", "b2", "a2", "sum", "a1", "sum", "b0", "a0", "sum"));
  EXPECT_EQ(p.sums(), (Sums{{2, 3}, {1, 2}, {0, 1}}));
}

TEST(SumsOverRanks, TakeSumsOfPartsAlong) {
  Program p({kMegabyte, kMegabyte});
  p.backward_by_parts(1);
  p.backward(0);
  p.columns(1);
  p.accumulate(0);
  p.accumulate(1);
  p.sum();
  cuda::start_sums_early(p.graph);
  EXPECT_THAT(p.order(), ElementsAre("b1", "c1", "a1", "sum", "b0", "a0", "sum"));
}

TEST(SumsOverRanks, StayWhereOthersTouchTheGroupBefore) {
  Program p({kMegabyte, kMegabyte});
  p.backward(1);
  p.backward(0);
  p.accumulate(0);
  p.accumulate(1);
  p.read(1);
  p.sum();
  const std::vector<std::string> before = p.order();
  cuda::start_sums_early(p.graph);
  EXPECT_EQ(p.order(), before);
  EXPECT_THAT(cuda::joins_of_sums(p.graph), IsEmpty()) << "the run itself waits at its end";
}

TEST(SumsOverRanks, OfTheWorkspaceAreWaitedForAtOnce) {
  Program p({kMegabyte});
  p.sum_of_workspace();
  p.other();
  p.other();
  EXPECT_THAT(cuda::joins_of_sums(p.graph), ElementsAre(1));
}

}  // namespace
}  // namespace calm::cuda_test
