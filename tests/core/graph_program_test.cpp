// The memory plan of a whole training step.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/graph/program.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::graph {
namespace {

using model_test::kNano;

std::uint32_t operand(const calm_program &p, std::uint32_t index) {
  return record<std::uint32_t>(p.operands, index);
}

struct Life {
  std::uint32_t tensor;
  std::uint32_t first = 0, last = 0;  // nodes
};

// Temporaries of a program with the nodes between which their values must survive.
std::vector<Life> lives(const calm_program &p) {
  std::vector<Life> result;
  std::vector<std::size_t> at(p.tensors.count, ~std::size_t{0});
  for (std::uint32_t n = 0; n < p.nodes.count; ++n) {
    const auto &node = record<calm_node>(p.nodes, n);
    for (std::uint32_t k = 0; k < node.n_out; ++k) {
      const std::uint32_t id = operand(p, node.first_out + k);
      if (id != CALM_NONE && record<calm_tensor>(p.tensors, id).role == CALM_ROLE_TEMP) {
        at[id] = result.size();
        result.push_back({id, n, n});
      }
    }
    for (std::uint32_t k = 0; k < node.n_in; ++k) {
      const std::uint32_t id = operand(p, node.first_in + k);
      if (id != CALM_NONE && at[id] < result.size()) {
        result[at[id]].last = n;
      }
    }
  }
  return result;
}

class TrainProgram : public testing::Test {
 protected:
  static Graph graph(Bucket bucket) {
    Graph graph = model().train(bucket, model_test::next_token(), {}, true);
    graph.eliminate_dead_code();
    return graph;
  }
  static const run::LanguageModel &model() {
    static const std::unique_ptr<run::LanguageModel> instance = model_test::make_model(kNano);
    return *instance;
  }
};

TEST_F(TrainProgram, NoTwoLiveTemporariesShareAByte) {
  const Program program(graph({1024, 8, 768}));
  const calm_program &p = program.table();
  const std::vector<Life> all = lives(p);
  ASSERT_GT(all.size(), 100u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto &a = record<calm_tensor>(p.tensors, all[i].tensor);
    EXPECT_EQ(a.offset % 256, 0u);
    EXPECT_LE(a.offset + a.bytes, program.slot_bytes(Slot::kWorkspace));
    for (std::size_t j = 0; j < i; ++j) {
      const auto &b = record<calm_tensor>(p.tensors, all[j].tensor);
      const bool together = all[i].first <= all[j].last && all[j].first <= all[i].last;
      const bool overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      ASSERT_FALSE(together && overlap) << copy(a.name) << " and " << copy(b.name) << "\n"
                                        << program.dump();
    }
  }
}

TEST_F(TrainProgram, ReuseMakesTheWorkspaceLessThanHalfOfTheTemporaries) {
  const Program program(graph({1024, 8, 768}));
  EXPECT_LT(program.slot_bytes(Slot::kWorkspace) * 2, program.temporaries_bytes());
}

TEST_F(TrainProgram, ParametersAreAlignedViewsOfTheirGroups) {
  const Graph g = graph({64, 2, 64});
  const Program program(g);
  const calm_program &p = program.table();
  std::uint32_t views = 0;
  for (std::uint32_t i = 0; i < p.tensors.count; ++i) {
    const auto &tensor = record<calm_tensor>(p.tensors, i);
    if (tensor.role == CALM_ROLE_PARAM && model().layout().find(view(tensor.name)) != CALM_NONE) {
      EXPECT_EQ(tensor.offset % 256, 0u) << copy(tensor.name);
      ASSERT_NE(tensor.view_of, CALM_NONE) << copy(tensor.name);
      const auto &group = record<calm_tensor>(p.tensors, tensor.view_of);
      EXPECT_GE(tensor.offset, group.offset);
      EXPECT_LE(tensor.offset + tensor.bytes, group.offset + group.bytes);
      ++views;
    }
  }
  EXPECT_EQ(views, model().layout().params().size());
}

TEST_F(TrainProgram, DecayedParametersComeFirstAndFillTheirSlotWithoutOverlap) {
  const ParamLayout &layout = model().layout();
  ASSERT_EQ(layout.groups().size(), 2u);
  EXPECT_TRUE(layout.groups()[0].decay);
  EXPECT_FALSE(layout.groups()[1].decay);
  EXPECT_EQ(layout.groups()[1].begin, layout.groups()[0].count);
  EXPECT_EQ(layout.groups()[1].begin + layout.groups()[1].count, layout.elements());
  EXPECT_EQ(layout.count(), 168064u);  // spec E.10
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const Param &param : layout.params()) {
    const bool plain = param.name.ends_with(".A_log") || param.name.ends_with(".D");
    EXPECT_EQ(param.decay, !plain) << param.name;
    EXPECT_EQ(param.offset >= layout.groups()[1].begin, plain) << param.name;
    ranges.emplace_back(param.offset,
                        param.offset + static_cast<std::uint64_t>(elements(param.type)));
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    EXPECT_GE(ranges[i].first, ranges[i - 1].second);
  }
}

TEST_F(TrainProgram, NamedTensorsOfASlotDoNotOverlap) {
  const Program program(graph({64, 2, 64}));
  for (const Binding &a : program.bindings()) {
    EXPECT_EQ(a.offset % 256, 0u) << a.name;
    EXPECT_LE(a.offset + a.bytes, program.slot_bytes(a.slot)) << a.name;
    for (const Binding &b : program.bindings()) {
      EXPECT_FALSE(&a != &b && a.slot == b.slot && a.offset < b.offset + b.bytes &&
                   b.offset < a.offset + a.bytes)
          << a.name << " and " << b.name;
    }
  }
  EXPECT_EQ(program.binding(Slot::kInput, "tokens").bytes, 64u * 4);
  EXPECT_THROW(program.binding(Slot::kInput, "nonsense"), Error);
}

TEST_F(TrainProgram, TheHashTellsComputationsApart) {
  const Program a(graph({64, 2, 64})), same(graph({64, 2, 64})), larger(graph({128, 2, 64}));
  EXPECT_EQ(a.table().hash[0], same.table().hash[0]);
  EXPECT_EQ(a.table().hash[1], same.table().hash[1]);
  EXPECT_NE(a.table().hash[0], larger.table().hash[0]);
  EXPECT_NE(a.table().hash[1], larger.table().hash[1]);
}

TEST_F(TrainProgram, TheDumpHasALineForEveryNode) {
  const Program program(graph({64, 2, 64}));
  const std::string dump = program.dump();
  EXPECT_NE(dump.find("program update tokens 64 sequences 2 longest 64"), std::string::npos);
  EXPECT_NE(dump.find("selective_scan/1 blocks.2/mixer/selective_scan"), std::string::npos);
  EXPECT_NE(dump.find("adamw/1 update"), std::string::npos);
}

// Accumulating and updating programs share the metrics buffer.
TEST_F(TrainProgram, MetricsLieAtTheSamePlaceInBothTrainingPrograms) {
  Graph accumulate = model().train({64, 2, 64}, model_test::next_token(), {}, false);
  accumulate.eliminate_dead_code();
  const Program first(accumulate), second(graph({64, 2, 64}));
  for (const char *name : {"bad", "ring"}) {
    EXPECT_EQ(first.binding(Slot::kMetrics, name).offset,
              second.binding(Slot::kMetrics, name).offset);
  }
}

}  // namespace
}  // namespace calm::graph
