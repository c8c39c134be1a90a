#pragma once

#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/data/batch.hpp"
#include "core/run/language_model.hpp"
#include "core/run/stage.hpp"
#include "core/run/weights.hpp"

namespace calm::train {

/// The programs of a training or evaluation run over shared buffers, compiled once per bucket
/// (program rules 1 and 8).
class Stages {
 public:
  /// Everything given must outlive the stages.
  Stages(run::Session &session, const run::LanguageModel &model, run::Objective objective,
         graph::OptimizerOptions optimizer);

  run::Buffer &weights() { return weights_; }
  run::Buffer &grads() { return grads_; }

  void upload(const run::Weights &weights);
  void download(run::Weights &weights) const;

  /// The optimizer's side of a run: what a checkpoint holds beside the weights.
  struct Optimizer {
    run::Weights *m = nullptr;
    run::Weights *v = nullptr;
    run::Weights *gradients = nullptr;  ///< null: between updates there are none
  };
  void download(const Optimizer &state);
  /// `refused`: updates refused in a row so far (program rule 9).
  void upload(const Optimizer &state, std::int64_t refused);

  /// Online EWC's side (spec J.2; program rule 10); absent: no Fisher information yet, the anchor
  /// is where the weights are. Needs the optimizer's `ewc`.
  void start_ewc(const run::Weights *fisher, const run::Weights *anchor);
  void download_ewc(run::Weights &fisher, run::Weights &anchor) const;
  /// Fisher information of the weights as they are, over batches without the ATN rule, into the
  /// running mean; the anchor becomes the weights (spec J.5). Between updates only.
  void consolidate(const std::vector<data::Batch> &batches, double decay);

  /// Sum of the losses of a batch's counted targets, nats.
  double eval(const data::Batch &batch);
  /// One micro-batch; with `update` the optimizer step as well. Step values but metrics_row are set
  /// from the arguments.
  struct MicroBatch {
    bool first = true;        ///< of its accumulation
    bool update = true;       ///< the last of it, or of the epoch: the flush of spec I.5
    double grad_scale = 1.0;  ///< 1 / accumulation
    double lr = 0;
    std::uint64_t t = 1;  ///< updates counted from 1, this one included (bias corrections)
    double ewc_lambda = 0;
  };
  void train(const data::Batch &batch, const MicroBatch &micro);
  /// Compiles what train() needs for a batch with as many tokens and an update.
  void prepare(const data::Batch &batch);

  /// Metrics of micro-batches since the last call, oldest first; at most kRingRows may pass
  /// between.
  struct Metrics {
    double loss_sum = 0;
    double grad_norm = 0;
    std::int64_t refused = 0;  ///< updates refused in a row because of non-finite gradients
    double ewc_sum = 0;        ///< of F (theta - theta*)^2: the penalty is lambda/2 times that
  };
  std::vector<Metrics> read_metrics();
  std::int64_t unread_metrics() const { return written_ - read_; }

  /// Logits and loss of one batch; gradients are left in grads() when asked for.
  struct Forward {
    std::vector<float> logits;  ///< [T, vocab], dead rows included
    double loss_sum = 0;
  };
  Forward forward(const data::Batch &batch, bool gradients);

  /// Step of one micro-batch program in bytes: for `--dry-run`.
  std::uint64_t device_bytes() const;

 private:
  using Key =
      std::pair<int, std::pair<std::int64_t, std::int64_t>>;  // program, (tokens, sequences)
  run::Stage &stage(int program, const data::Batch &batch);
  static void feed(run::Stage &stage, const data::Batch &batch, bool targets);
  void set_update(run::Stage &stage, double lr, std::uint64_t t) const;
  void need_gradients();
  void need_optimizer();

  run::Session *session_;
  const run::LanguageModel *model_;
  run::Objective objective_;
  graph::OptimizerOptions optimizer_;
  run::Buffer weights_, grads_, m_, v_, fisher_, anchor_, metrics_;
  run::SlotBuffers shared_{};
  std::map<Key, std::unique_ptr<run::Stage>> stages_;
  std::int64_t written_ = 0, read_ = 0;
  run::Stage *last_stage_ = nullptr;  // of the last step of training
  std::uint64_t last_fence_ = 0;
};

}  // namespace calm::train
