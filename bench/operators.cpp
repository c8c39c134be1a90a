// Every operator at the shapes the presets use it with, as a program of its own: the nodes of their
// programs of training (with online EWC), of contrastive training, of reading a prompt, of a
// decoding step and of embedding, each kind once. What no preset uses has the shape of its
// conformance example.
#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "bench/common.hpp"
#include "bench/one_operator.hpp"
#include "core/ops/table.hpp"
#include "core/run/buckets.hpp"
#include "tests/conformance/examples.hpp"

namespace calm::bench {
namespace {

// A program whose nodes are timed, and what its graph needs to live.
struct Source {
  std::shared_ptr<const run::LanguageModel> model;
  std::shared_ptr<graph::ParamLayout> layout;  // of a conformance example
  std::shared_ptr<const graph::Graph> graph;
  std::vector<std::int32_t> offsets;
};

// What one run takes at least: at the peak of arithmetic, or at the speed of the memory that holds
// what it reads and writes.
double least_seconds(const calm_cost &cost, const Rates &rates, bool *by_flops) {
  const double compute = cost.flops / rates.flops;
  const double traffic = cost.bytes / rates.level_for(cost.bytes).bytes_per_second;
  *by_flops = compute > traffic;
  return std::max(compute, traffic);
}

void run_one(benchmark::State &state, const Source &source, std::size_t index, int uses) {
  const graph::Node &node = source.graph->nodes()[index];
  OneOperator one(*machine().session, *source.graph, node, source.offsets);
  one.run();  // compiles, touches the memory
  const Stopwatch watch;
  for ([[maybe_unused]] auto _ : state) {
    one.run();
  }
  const double each = watch.seconds() / static_cast<double>(state.iterations());
  const calm_cost cost = cost_of(*source.graph, node);
  bool by_flops = false;
  const double least = least_seconds(cost, measured_rates(machine().threads), &by_flops);
  state.counters["gflops"] = cost.flops / each / 1e9;
  state.counters["GB_per_s"] = cost.bytes / each / 1e9;
  state.counters["of_peak_pct"] = 100 * least / each;
  state.counters["uses"] = uses;
  state.SetLabel((by_flops ? "flops: " : "bytes: ") + describe_node(*source.graph, node));
}

// The kinds of nodes there are: what has a case, and the operators among it.
struct Covered {
  std::set<std::string> kinds;  // of one preset
  std::set<std::string> operators;
};

// Each kind of node of a program that has no case yet, named by operator and number:
// "op/nano/train/matmul.2".
void add_program(const std::string &name, const Source &source, Covered &covered) {
  const std::vector<graph::Node> &nodes = source.graph->nodes();
  std::map<std::string, int> uses;
  for (const graph::Node &node : nodes) {
    ++uses[describe_node(*source.graph, node)];
  }
  std::map<std::string, int> numbers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string text = describe_node(*source.graph, nodes[i]);
    const std::string &op = nodes[i].op;
    if (!covered.kinds.insert(text).second) {
      continue;
    }
    covered.operators.insert(op);
    const std::string full = fmt::format("op/{}/{}.{}", name, op, ++numbers[op]);
    add_case(full, [source, i, count = uses.at(text)](
                       benchmark::State &state) { run_one(state, source, i, count); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
}

std::vector<std::int32_t> dictionary_offsets(std::int64_t sequences) {
  const data::Dataset dataset = dictionary_like(static_cast<std::size_t>(sequences));
  std::vector<std::int32_t> offsets{0};
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    // A sequence's last token is a target only.
    offsets.push_back(offsets.back() + static_cast<std::int32_t>(dataset.sequence(i).size()) - 1);
  }
  return offsets;
}

Source source_of(const std::shared_ptr<const run::LanguageModel> &model, graph::Graph graph,
                 std::vector<std::int32_t> offsets) {
  graph.eliminate_dead_code();
  return {model, {}, std::make_shared<const graph::Graph>(std::move(graph)), std::move(offsets)};
}

std::vector<std::int32_t> one_row_each(std::int64_t sequences) {
  std::vector<std::int32_t> offsets(static_cast<std::size_t>(sequences) + 1);
  std::iota(offsets.begin(), offsets.end(), 0);
  return offsets;
}

void add_preset(const Size &size, Covered &covered) {
  PluginRegistry &plugins = machine().runtime.plugins();
  const std::string name = size.preset;
  const auto model = std::make_shared<const run::LanguageModel>(
      plugins.model("mamba"), preset_config(name), machine().runtime.operators());
  if (work_of(model->config()).weights != static_cast<double>(model->param_count())) {
    throw Error(CALM_INTERNAL, "the limits count other weights than preset " + name + " has");
  }
  const run::Values training = preset_training(name);
  const std::vector<std::int32_t> offsets = dictionary_offsets(size.batch);
  const std::int64_t rows = run::bucket_tokens(offsets.back());
  const graph::Bucket bucket{rows, size.batch, std::min(rows, model->l_max())};
  graph::OptimizerOptions optimizer;
  optimizer.ewc = true;
  const run::Objective next_token{&plugins.trainer("next_token"), &training};
  add_program(name + "/train",
              source_of(model, model->train(bucket, next_token, optimizer, true), offsets),
              covered);
  add_program(name + "/fisher", source_of(model, model->fisher(bucket), offsets), covered);
  const calm_trainer &contrastive = plugins.trainer("contrastive");
  const run::Values defaults = run::Values::resolve(contrastive.options, {}, "training");
  add_program(name + "/contrastive",
              source_of(model, model->train(bucket, {&contrastive, &defaults}, {}, true), offsets),
              covered);
  add_program(name + "/embed", source_of(model, model->embed(bucket, 0, true), offsets), covered);
  constexpr std::int64_t kPrompt = 256;
  add_program(name + "/prefill_256",
              source_of(model, model->prefill({kPrompt, 1, kPrompt}), {0, kPrompt}), covered);
  for (const std::int64_t sequences : {std::int64_t{1}, std::int64_t{64}}) {
    add_program(name + "/decode_" + std::to_string(sequences),
                source_of(model, model->step(sequences), one_row_each(sequences)), covered);
  }
}

calm_type type_of_array(const conformance::Array &array) {
  calm_type type{};
  type.dtype = array.dtype == conformance::kReal ? calm_dtype{CALM_F32} : array.dtype;
  type.rank = static_cast<std::uint32_t>(array.shape.size());
  type.axis0 = array.axis0;
  std::copy(array.shape.begin(), array.shape.end(), type.shape);
  return type;
}

Source example_source(const conformance::Case &c) {
  const std::int64_t rows = c.ins[0].shape.empty() ? 1 : c.ins[0].shape[0];
  auto layout = std::make_shared<graph::ParamLayout>();
  layout->freeze();
  graph::Graph graph(c.op, {rows, 1, rows}, CALM_F32, *layout, machine().runtime.operators());
  std::vector<Value> ins;
  for (std::size_t i = 0; i < c.ins.size(); ++i) {
    ins.push_back(c.ins[i].present ? graph.input("in" + std::to_string(i), type_of_array(c.ins[i]))
                                   : Value{});
  }
  const std::vector<Value> outs = graph.emit(c.op, 1, ins, c.attrs);
  for (std::size_t i = 0; i < outs.size(); ++i) {
    graph.output("out" + std::to_string(i), outs[i]);
  }
  return {{}, layout, std::make_shared<const graph::Graph>(std::move(graph)), {0, 1}};
}

}  // namespace

void add_operator_cases() {
  Covered covered;
  for (const Size &size : kSizes) {
    covered.kinds.clear();
    add_preset(size, covered);
  }
  const std::set<std::string> by_presets = covered.operators;
  for (const conformance::Case &example : conformance::examples()) {
    if (by_presets.count(example.op) == 0) {
      add_program("example", example_source(example), covered);
    }
  }
  for (const ops::OperatorEntry &entry : ops::operators()) {
    if (covered.operators.count(std::string(entry.id)) == 0) {
      throw Error(CALM_INTERNAL, "operator " + std::string(entry.id) + " has no case");
    }
  }
}

}  // namespace calm::bench
