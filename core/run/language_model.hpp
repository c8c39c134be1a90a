#pragma once

#include <calm/model.h>
#include <calm/trainer.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/graph/graph.hpp"
#include "core/graph/optimizer.hpp"
#include "core/run/values.hpp"

namespace calm::run {

/// The objective a graph ends in: a trainer plugin and its resolved options.
struct Objective {
  const calm_trainer *trainer = nullptr;
  const Values *options = nullptr;
};

/// A byte-level language model: token embedding, a backbone plugin, a head tied to the embedding
/// (spec E). Writes the graphs of every program of a run over one parameter layout.
class LanguageModel {
 public:
  static constexpr std::int64_t kVocab = 320;

  /// `config` is resolved against the backbone's schema. `real` is CALM_F32, or CALM_F64 in checks.
  LanguageModel(const calm_model &backbone, Values config, graph::OperatorLookup operators,
                calm_dtype real = CALM_F32);

  graph::ParamLayout &layout() { return *layout_; }
  const graph::ParamLayout &layout() const { return *layout_; }
  const Values &config() const { return config_; }
  calm_dtype real() const { return real_; }
  std::int64_t l_max() const { return config_.integer("l_max"); }
  std::uint64_t param_count() const { return layout_->count(); }

  // Inputs everywhere: tokens i32 [T], offsets i32 [S + 1], and targets i32 [T] where there is a
  // loss.

  /// Outputs: logits [T, V], loss_sum. With `gradients`, slot Grads receives the gradient of
  /// loss_sum * inv_count * grad_scale.
  graph::Graph forward(graph::Bucket bucket, const Objective &objective, bool gradients) const;
  /// Output: loss_sum.
  graph::Graph eval(graph::Bucket bucket, const Objective &objective) const;
  /// One micro-batch of training: forward, backward, gradients into slot Grads; with `update` also
  /// clip, guard and AdamW (program rule 8), of the gradients of all ranks where the options say
  /// so; the loss is this rank's. Metrics ring row: loss_sum, gradient norm, bad
  /// updates, and the sum of the EWC penalty.
  graph::Graph train(graph::Bucket bucket, const Objective &objective,
                     const graph::OptimizerOptions &optimizer, bool update) const;
  /// One batch of a consolidation (spec J.5): the gradient of the mean next-token loss, whatever
  /// the objective, squared into slot Fisher. Leaves the gradient in slot Grads. With `all_reduce`
  /// the gradient is that of the shares of all ranks.
  graph::Graph fisher(graph::Bucket bucket, bool all_reduce = false) const;
  /// Outputs: logits [S, V] of each sequence's last row; with `all_logits` also all_logits [T, V].
  /// Leaves the decode state in slot State. With `with_state` it continues from the decode state it
  /// finds there, as steps with the same tokens would; an empty sequence keeps its own and gets
  /// logits 0. Sequence s is part s of each state tensor in every program.
  graph::Graph prefill(graph::Bucket bucket, bool all_logits = false,
                       bool with_state = false) const;
  /// Output: embeddings [S, d_model], each sequence's rows pooled by `mode` (CALM_POOL_MEAN or
  /// _LAST), with `normalize` to length 1 (spec G); no head. An empty sequence gives zeros.
  graph::Graph embed(graph::Bucket bucket, std::int64_t mode, bool normalize) const;
  /// Input logits [S, V]; outputs ids i32 [S], log_prob [S]. Step values: temperature, top_k,
  /// top_p, min_p, seed, micro_step.
  graph::Graph sample(std::int64_t sequences) const;
  /// One token a sequence from state "ids", decode state updated, the next one sampled into "ids".
  /// Outputs: ids i32 [S], log_prob [S], logits [S, V].
  graph::Graph step(std::int64_t sequences) const;

  /// Rows of the metrics ring and columns of one.
  static constexpr std::int64_t kRingRows = 128;
  static constexpr std::int64_t kRingColumns = 4;

 private:
  struct Wires {
    Value tokens, offsets, rows, table;
  };
  Wires trunk(graph::Graph &graph, Value tokens, Value offsets) const;
  Value head(const Builder &builder, const Wires &wires, Value rows) const;
  graph::Graph blank(const char *name, graph::Bucket bucket) const;
  struct Loss {
    Value logits, sum;
  };
  Loss with_loss(graph::Graph &graph, const Objective &objective) const;
  void record_metrics(graph::Graph &graph, Value loss, Value norm, Value bad, Value ewc) const;
  void sample_nodes(graph::Graph &graph, Value logits, Value *ids, Value *log_prob) const;

  const calm_model *backbone_;
  Values config_;
  graph::OperatorLookup operators_;
  calm_dtype real_;
  std::unique_ptr<graph::ParamLayout> layout_;
};

}  // namespace calm::run
