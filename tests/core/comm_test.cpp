// Several ranks as one process can test them: who was launched, who gets what, what is agreed on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/comm/launch.hpp"
#include "core/comm/module.hpp"
#include "core/comm/ranks.hpp"
#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Launch launch_in(const std::map<std::string, std::string> &variables) {
  return launch_of([&](const char *name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, IsAloneWhereNoLauncherSaysOtherwise) {
  EXPECT_EQ(launch_in({}).ranks, 1u);
  EXPECT_EQ(launch_in({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}).ranks, 1u);
  EXPECT_EQ(launch_in({{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}}).ranks, 1u);
}

TEST(Launch, KnowsOpenMpiMpichAndSlurm) {
  const Launch open = launch_in({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}});
  EXPECT_EQ(open.ranks, 4u);
  EXPECT_EQ(open.rank, 3u);
  EXPECT_EQ(open.variable, "OMPI_COMM_WORLD_SIZE");
  EXPECT_EQ(launch_in({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}).rank, 1u);
  EXPECT_EQ(launch_in({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "0"}}).ranks, 8u);
}

TEST(Launch, IgnoresVariablesThatMakeNoSense) {
  for (const char *size : {"", "x", "-2", "2x", " 2", "0", "99999999999"}) {
    EXPECT_EQ(launch_in({{"PMI_SIZE", size}, {"PMI_RANK", "0"}}).ranks, 1u) << size;
  }
  EXPECT_EQ(launch_in({{"PMI_SIZE", "2"}}).ranks, 1u);
  EXPECT_EQ(launch_in({{"PMI_SIZE", "2"}, {"PMI_RANK", "2"}}).ranks, 1u);
}

TEST(OpenModule, IsNothingForAProcessAlone) {
  EXPECT_EQ(open_module({}, "/nowhere", nullptr), nullptr);
}

TEST(OpenModule, NamesTheLibraryThatIsMissing) {
  try {
    open_module({0, 2, "PMI_SIZE"}, "/nowhere", nullptr);
    FAIL() << "it was opened";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_UNAVAILABLE);
    EXPECT_THAT(e.what(), HasSubstr("2 processes were launched (PMI_SIZE), which needs "
                                    "/nowhere/lib/calm/mpi_comm.so: "));
  }
}

/// A communicator whose other rank always has `other` to add, to all values or to its own, or is
/// gone.
struct FakeComm {
  explicit FakeComm(double other_value, std::uint32_t rank = 0, bool only_its_own = false)
      : other(other_value), own(only_its_own) {
    table.size = sizeof table;
    table.rank = rank;
    table.ranks = 2;
    table.self = this;
    table.all_reduce = [](void *self, void *data, std::uint64_t n, calm_dtype dtype,
                          calm_error *error) {
      auto &fake = *static_cast<FakeComm *>(self);
      if (fake.gone) {
        return fail(error, CALM_DEVICE_LOST, "rank 1 is gone");
      }
      fake.dtypes.push_back(dtype);
      for (std::uint64_t i = 0; i < n; ++i) {
        if (fake.own && i == fake.table.rank) {
          continue;
        }
        if (dtype == CALM_F64) {
          static_cast<double *>(data)[i] += fake.other;
        } else {
          static_cast<float *>(data)[i] += static_cast<float>(fake.other);
        }
      }
      return CALM_OK;
    };
    table.broadcast = [](void *, void *, std::uint64_t, std::uint32_t, calm_error *) {
      return CALM_OK;
    };
    table.check = [](void *, calm_error *) { return CALM_OK; };
  }

  calm_comm table{};
  double other;
  bool own;
  bool gone = false;
  std::vector<calm_dtype> dtypes;
};

TEST(Ranks, AloneDoNothing) {
  const Ranks ranks(nullptr);
  EXPECT_TRUE(ranks.first());
  EXPECT_FALSE(ranks.several());
  std::vector<double> values = {1, 2};
  ranks.sum(values);
  ranks.broadcast(values.data(), sizeof(double));
  EXPECT_THAT(values, ElementsAre(1, 2));
  EXPECT_THROW(ranks.together([] { throw Error(CALM_IO, "full"); }), Error);
  ranks.together([] {});
}

TEST(Ranks, FailTogetherAndOnlyTheFirstThatFailedSaysWhy) {
  const auto outcome = [](FakeComm comm, calm_status status) -> std::string {
    comm.table.self = &comm;
    try {
      Ranks(&comm.table).together([status] {
        if (status != CALM_OK) {
          throw Error(status, "mine");
        }
      });
    } catch (const PeerFailed &e) {
      return std::string(e.what()) + ", " + std::to_string(e.status());
    } catch (const Error &e) {
      return e.what();
    }
    return "all is well";
  };
  EXPECT_EQ(outcome(FakeComm(CALM_OK, 0, true), CALM_OK), "all is well");
  EXPECT_EQ(outcome(FakeComm(CALM_OK, 0, true), CALM_IO), "mine");
  EXPECT_EQ(outcome(FakeComm(CALM_IO, 0, true), CALM_OK), "rank 1 failed, 7");
  EXPECT_EQ(outcome(FakeComm(CALM_IO, 0, true), CALM_IO), "mine");
  EXPECT_EQ(outcome(FakeComm(CALM_IO, 1, true), CALM_IO), "rank 0 failed, 7");
}

TEST(Ranks, SayThatOneIsGone) {
  FakeComm comm(0);
  comm.gone = true;
  std::vector<float> values = {1};
  try {
    Ranks(&comm.table).sum(values);
    FAIL() << "it was summed";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_DEVICE_LOST);
  }
}

/// What all_reduce makes of 1, 2, 3 in a runtime with that communicator.
std::vector<float> reduced(FakeComm &comm, const char *backend, calm_dtype real) {
  run::RuntimeOptions options = model_test::runtime_options(1);
  options.comm = &comm.table;
  run::Runtime runtime(options);
  const std::unique_ptr<run::Session> session = runtime.open(backend, CALM_WORKLOAD_TRAIN);
  graph::ParamLayout layout;
  layout.freeze();
  graph::Graph graph("sum", {64, 1, 1}, real, layout, runtime.operators());
  const Value x = graph.input("x", type_of(real, {3}));
  const graph::GraphBuilder builder(graph);
  graph.output("y", builder.face().op("all_reduce", {x}));
  run::Stage stage(*session, std::move(graph), {});
  if (real == CALM_F32) {
    stage.write("x", std::vector<float>{1, 2, 3});
    stage.run();
    std::vector<float> y;
    stage.read("y", y);
    return y;
  }
  stage.write("x", std::vector<double>{1, 2, 3});
  stage.run();
  std::vector<double> y;
  stage.read("y", y);
  return {y.begin(), y.end()};
}

TEST(AllReduce, AsksTheHostsCommunicator) {
  for (const std::string &backend : model_test::runtime().plugins().ids("backend")) {
    if (backend != "reference" && backend != "onednn") {
      continue;  // others have a communicator of their own
    }
    FakeComm comm(10);
    EXPECT_THAT(reduced(comm, backend.c_str(), CALM_F32), ElementsAre(11, 12, 13)) << backend;
    EXPECT_THAT(reduced(comm, backend.c_str(), CALM_F64), ElementsAre(11, 12, 13)) << backend;
    EXPECT_THAT(comm.dtypes, ElementsAre(CALM_F32, CALM_F64)) << backend;
    comm.gone = true;
    try {
      reduced(comm, backend.c_str(), CALM_F32);
      FAIL() << backend << ": it was summed";
    } catch (const Error &e) {
      EXPECT_EQ(e.status(), CALM_DEVICE_LOST) << backend;
      EXPECT_THAT(e.what(), HasSubstr("rank 1 is gone")) << backend;
    }
  }
}

/// The all_reduce nodes of a program.
std::size_t sums_in(const graph::Graph &graph) {
  return static_cast<std::size_t>(
      std::count_if(graph.nodes().begin(), graph.nodes().end(),
                    [](const graph::Node &node) { return node.op == "all_reduce"; }));
}

TEST(ProgramOfRanks, AddsUpEachFlatGroupOnceAnUpdateWhereThereAreSeveralRanks) {
  const std::unique_ptr<run::LanguageModel> model = model_test::make_model(model_test::kPico);
  const graph::Bucket bucket{64, 2, 32};
  const auto train = [&](bool ranks, bool update, bool ewc) {
    graph::OptimizerOptions options;
    options.all_reduce = ranks;
    options.ewc = ewc;
    graph::Graph graph = model->train(bucket, model_test::next_token(), options, update);
    graph.eliminate_dead_code();
    const graph::Program program(graph);  // its storage is in order
    return sums_in(graph);
  };
  const std::size_t groups = model->layout().groups().size();
  EXPECT_EQ(train(true, true, false), groups);
  EXPECT_EQ(train(true, true, true), groups);
  EXPECT_EQ(train(true, false, true), 0u);
  EXPECT_EQ(train(false, true, true), 0u);
  EXPECT_EQ(sums_in(model->fisher(bucket, true)), groups);
  EXPECT_EQ(sums_in(model->fisher(bucket)), 0u);
}

TEST(Share, GivesEverySequenceToOneRankAndKeepsTheirOrder) {
  std::vector<std::vector<std::int32_t>> sequences;
  for (std::size_t i = 0; i < 37; ++i) {
    sequences.push_back(model_test::tokens(4 + i * i % 61, static_cast<std::uint32_t>(i)));
  }
  const data::Dataset dataset = model_test::make_dataset(sequences);
  std::vector<std::uint32_t> which;
  for (std::uint32_t i = 0; i < 33; ++i) {
    which.push_back((i * 7) % 37);
  }
  for (const std::uint32_t ranks : {1u, 2u, 3u, 5u, 8u, 33u, 40u}) {
    std::multiset<std::uint32_t> seen;
    std::vector<std::size_t> loads;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const std::vector<std::uint32_t> mine = data::share_of(dataset, which, {rank, ranks});
      std::size_t load = 0;
      auto at = which.begin();
      for (const std::uint32_t index : mine) {
        at = std::find(at, which.end(), index);
        EXPECT_NE(at, which.end()) << "out of order";
        load += dataset.sequence(index).size();
      }
      seen.insert(mine.begin(), mine.end());
      loads.push_back(load);
    }
    EXPECT_EQ(seen, std::multiset<std::uint32_t>(which.begin(), which.end())) << ranks;
    // No rank has more than the least one and one sequence.
    const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
    EXPECT_LE(*most, *least + 64) << ranks;
  }
}

TEST(Share, OfABatchKnowsWhatTheWholeOneCounts) {
  const data::Dataset dataset = model_test::make_dataset(
      {model_test::tokens(9, 1), model_test::tokens(5, 2), model_test::tokens(4, 3)}, {2, 0, 1});
  const std::vector<std::uint32_t> all = model_test::all_of(dataset);
  const data::Batch whole = data::pack(dataset, all, 4, 64);
  std::int64_t rows = 0;
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    const data::Batch part = data::pack(dataset, all, 4, 64, true, {rank, 4});
    EXPECT_EQ(part.counted, whole.counted);
    EXPECT_EQ(part.all_rows, whole.rows);
    EXPECT_EQ(part.offsets.size(), 5u);
    EXPECT_EQ(part.tokens.size(), 64u);
    rows += part.rows;
  }
  EXPECT_EQ(rows, whole.rows);
  EXPECT_EQ(whole.all_rows, whole.rows);
  EXPECT_EQ(data::pack(dataset, all, 4, 64, true, {3, 4}).rows, 0) << "three sequences, four ranks";
}

}  // namespace
}  // namespace calm::comm
