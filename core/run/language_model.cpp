#include "core/run/language_model.hpp"

#include <calm/ops/l2_normalize.h>
#include <calm/ops/pool.h>

#include <calm/cpp/error.hpp>

#include "core/graph/autodiff.hpp"

namespace calm::run {

using graph::Bucket;
using graph::Graph;
using graph::GraphBuilder;
using graph::Slot;

LanguageModel::LanguageModel(const calm_model &backbone, Values config,
                             graph::OperatorLookup operators, calm_dtype real)
    : backbone_(&backbone),
      config_(std::move(config)),
      operators_(std::move(operators)),
      real_(real),
      layout_(std::make_unique<graph::ParamLayout>()) {
  const std::vector<calm_value> records = config_.records();
  call(backbone.check, records.data(), static_cast<std::uint32_t>(records.size()));
  // The smallest graph declares every parameter in the order of spec E.1.
  prefill({64, 1, 64});
  layout_->freeze();
}

Graph LanguageModel::blank(const char *name, Bucket bucket) const {
  return Graph(name, bucket, real_, *layout_, operators_);
}

LanguageModel::Wires LanguageModel::trunk(Graph &graph, Value tokens, Value offsets) const {
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  Wires wires{tokens, offsets, {}, {}};
  calm_param table{};
  table.size = sizeof table;
  table.decay = 1;
  table.init = CALM_INIT_NORMAL;
  table.name = str("token_emb.weight");
  table.type = type_of(real_, {kVocab, config_.integer("d_model")});
  table.args[1] = config_.real("initializer_range");
  wires.table = b.param(table);
  const Value rows = b.op("embedding", {tokens, wires.table});
  const std::vector<calm_value> records = config_.records();
  calm_model_io io{};
  io.size = sizeof io;
  io.n_config = static_cast<std::uint32_t>(records.size());
  io.config = records.data();
  io.rows = rows.id;
  io.offsets = offsets.id;
  call(backbone_->build, &builder.table(), &io, &wires.rows.id);
  return wires;
}

// logits = h embᵀ: the head shares the embedding's matrix (spec E.2), so both gradients add up.
Value LanguageModel::head(const Builder &builder, const Wires &wires, Value rows) const {
  return builder.op("matmul", {rows, wires.table}, {value("transpose_b", true)});
}

LanguageModel::Loss LanguageModel::with_loss(Graph &graph, const Objective &objective) const {
  const Bucket &bucket = graph.bucket();
  const Value tokens = graph.input("tokens", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value targets =
      graph.input("targets", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value offsets = graph.input("offsets", type_of(CALM_I32, {bucket.sequences + 1}));
  const Wires wires = trunk(graph, tokens, offsets);
  const GraphBuilder builder(graph);
  Loss loss{head(builder.face(), wires, wires.rows), {}};
  const std::vector<calm_value> options = objective.options->records();
  calm_trainer_io io{};
  io.size = sizeof io;
  io.n_options = static_cast<std::uint32_t>(options.size());
  io.options = options.data();
  io.logits = loss.logits.id;
  io.rows = wires.rows.id;
  io.targets = targets.id;
  io.offsets = offsets.id;
  call(objective.trainer->build, &builder.table(), &io, &loss.sum.id);
  return loss;
}

namespace {

// dL/d(loss sum) = inv_count * grad_scale (program rule 4).
Value loss_seed(Graph &graph) {
  const Value inv_count = graph.step_value("inv_count", graph.real());
  const Value grad_scale = graph.step_value("grad_scale", graph.real());
  const GraphBuilder builder(graph);
  return builder.face().op("mul", {inv_count, grad_scale});
}

}  // namespace

Graph LanguageModel::forward(Bucket bucket, const Objective &objective, bool gradients) const {
  Graph graph = blank("forward", bucket);
  const Loss loss = with_loss(graph, objective);
  if (gradients) {
    accumulate_gradients(graph, differentiate(graph, loss.sum, loss_seed(graph)));
  }
  graph.output("logits", loss.logits);
  graph.output("loss_sum", loss.sum);
  return graph;
}

Graph LanguageModel::eval(Bucket bucket, const Objective &objective) const {
  Graph graph = blank("eval", bucket);
  graph.output("loss_sum", with_loss(graph, objective).sum);
  return graph;
}

// A value that is absent is recorded as 0.
void LanguageModel::record_metrics(Graph &graph, Value loss, Value norm, Value bad,
                                   Value ewc) const {
  const GraphBuilder builder(graph);
  const auto or_zero = [&](Value value) {
    const float zero = 0.0F;
    const double zero_wide = 0.0;
    return value
               ? value
               : graph.constant(type_of(real_, {}),
                                real_ == CALM_F32 ? static_cast<const void *>(&zero) : &zero_wide);
  };
  const Value ring =
      graph.stored("ring", Slot::kMetrics, type_of(real_, {kRingRows, kRingColumns}));
  const Value row = graph.step_value("metrics_row", CALM_I32);
  graph.update(builder.face().op("record", {ring, row, loss, or_zero(norm), bad, or_zero(ewc)}),
               ring);
}

Graph LanguageModel::train(Bucket bucket, const Objective &objective,
                           const graph::OptimizerOptions &optimizer, bool update) const {
  Graph graph = blank(update ? "update" : "accumulate", bucket);
  // Declared first in every program that has them, so that all find them at the same place.
  const Value bad = graph.stored("bad", Slot::kMetrics, type_of(CALM_I32, {}));
  const Loss loss = with_loss(graph, objective);
  accumulate_gradients(graph, differentiate(graph, loss.sum, loss_seed(graph)));
  const graph::FlatGradients gradients =
      flat_gradients(graph, optimizer.ewc, optimizer.all_reduce && update);
  if (update) {
    const graph::UpdateValues done = append_update(graph, optimizer, gradients);
    record_metrics(graph, loss.sum, done.norm, done.bad, gradients.ewc_sum);
  } else {
    record_metrics(graph, loss.sum, {}, bad, gradients.ewc_sum);
  }
  if (optimizer.recompute) {
    graph.recompute_activations();
  }
  return graph;
}

Graph LanguageModel::fisher(Bucket bucket, bool all_reduce) const {
  Graph graph = blank("fisher", bucket);
  const Value tokens = graph.input("tokens", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value targets =
      graph.input("targets", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value offsets = graph.input("offsets", type_of(CALM_I32, {bucket.sequences + 1}));
  const Wires wires = trunk(graph, tokens, offsets);
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  const Value loss = b.op("cross_entropy", {head(b, wires, wires.rows), targets});
  accumulate_gradients(graph, differentiate(graph, loss, loss_seed(graph)));
  append_fisher(graph, flat_gradients(graph, false, all_reduce));
  return graph;
}

Graph LanguageModel::prefill(Bucket bucket, bool all_logits, bool with_state) const {
  Graph graph = blank(with_state ? "extend" : "prefill", bucket);
  graph.keep_state(with_state, true);
  const Value tokens = graph.input("tokens", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value offsets = graph.input("offsets", type_of(CALM_I32, {bucket.sequences + 1}));
  const Wires wires = trunk(graph, tokens, offsets);
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  const Value last =
      b.op("pool", {wires.rows, offsets}, {value("mode", std::int64_t{CALM_POOL_LAST})});
  graph.output("logits", head(b, wires, last));
  if (all_logits) {
    graph.output("all_logits", head(b, wires, wires.rows));
  }
  return graph;
}

Graph LanguageModel::embed(Bucket bucket, std::int64_t mode, bool normalize) const {
  Graph graph = blank("embed", bucket);
  const Value tokens = graph.input("tokens", type_of(CALM_I32, {bucket.tokens}, CALM_AXIS_TOKENS));
  const Value offsets = graph.input("offsets", type_of(CALM_I32, {bucket.sequences + 1}));
  const Wires wires = trunk(graph, tokens, offsets);
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  const Value pooled = b.op(CALM_OP_POOL, {wires.rows, offsets}, {value("mode", mode)});
  graph.output("embeddings", normalize ? b.op(CALM_OP_L2_NORMALIZE, {pooled}) : pooled);
  return graph;
}

void LanguageModel::sample_nodes(Graph &graph, Value logits, Value *ids, Value *log_prob) const {
  const GraphBuilder builder(graph);
  const std::vector<Value> out = builder.face().emit(
      "sample",
      {logits, graph.step_value("temperature", real_), graph.step_value("top_k", CALM_I32),
       graph.step_value("top_p", real_), graph.step_value("min_p", real_),
       graph.step_value("seed", CALM_I64), graph.step_value("micro_step", CALM_I32)});
  *ids = out[0];
  *log_prob = out[1];
}

Graph LanguageModel::sample(std::int64_t sequences) const {
  Graph graph = blank("sample", {sequences, sequences, 1});
  const Value logits =
      graph.input("logits", type_of(real_, {sequences, kVocab}, CALM_AXIS_SEQUENCES));
  Value ids, log_prob;
  sample_nodes(graph, logits, &ids, &log_prob);
  graph.output("ids", ids);
  graph.output("log_prob", log_prob);
  return graph;
}

Graph LanguageModel::step(std::int64_t sequences) const {
  Graph graph = blank("step", {sequences, sequences, 1});
  graph.keep_state(true, true);
  const Value ids =
      graph.stored("ids", Slot::kState, type_of(CALM_I32, {sequences}, CALM_AXIS_TOKENS));
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i <= sequences; ++i) {
    rows.push_back(static_cast<std::int32_t>(i));
  }
  const Value offsets = graph.constant(type_of(CALM_I32, {sequences + 1}), rows.data());
  const Wires wires = trunk(graph, ids, offsets);
  const GraphBuilder builder(graph);
  const Value logits = head(builder.face(), wires, wires.rows);
  Value next, log_prob;
  sample_nodes(graph, logits, &next, &log_prob);
  graph.update(next, ids);
  graph.output("log_prob", log_prob);
  graph.output("logits", logits);
  return graph;
}

}  // namespace calm::run
