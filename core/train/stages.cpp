#include "core/train/stages.hpp"

#include <cmath>
#include <cstring>

#include <calm/cpp/error.hpp>

namespace calm::train {

using graph::Bucket;
using graph::Slot;
using run::LanguageModel;

namespace {

enum ProgramKind : int { kEval, kAccumulate, kUpdate, kForward, kForwardGrads, kFisher };

// The metrics slot has one layout in every program that has it: "bad" first, then the ring.
constexpr std::uint64_t kMetricsBytes = 256 + 4096;
constexpr std::uint64_t kBadOffset = 0;
static_assert(LanguageModel::kRingRows * LanguageModel::kRingColumns * 8 <= 4096);

}  // namespace

Stages::Stages(run::Session &session, const LanguageModel &model, run::Objective objective,
               graph::OptimizerOptions optimizer)
    : session_(&session), model_(&model), objective_(objective), optimizer_(optimizer) {
  const std::uint64_t flat = model.layout().elements() * dtype_bytes(model.real());
  weights_ = run::Buffer(session, flat);
  slot_of(shared_, Slot::kWeights) = &weights_;
}

void Stages::upload(const run::Weights &weights) { weights.write_to(weights_, model_->real()); }
void Stages::download(run::Weights &weights) const { weights.read_from(weights_, model_->real()); }

void Stages::need_gradients() {
  if (!grads_) {
    grads_ = run::Buffer(*session_, weights_.bytes());
    slot_of(shared_, Slot::kGrads) = &grads_;
  }
}

void Stages::need_optimizer() {
  need_gradients();
  if (!m_) {
    m_ = run::Buffer(*session_, weights_.bytes());
    v_ = run::Buffer(*session_, weights_.bytes());
    metrics_ = run::Buffer(*session_, kMetricsBytes);
    slot_of(shared_, Slot::kM) = &m_;
    slot_of(shared_, Slot::kV) = &v_;
    slot_of(shared_, Slot::kMetrics) = &metrics_;
  }
}

void Stages::download(const Optimizer &state) {
  need_optimizer();
  state.m->read_from(m_, model_->real());
  state.v->read_from(v_, model_->real());
  if (state.gradients != nullptr) {
    state.gradients->read_from(grads_, model_->real());
  }
}

void Stages::upload(const Optimizer &state, std::int64_t refused) {
  need_optimizer();
  state.m->write_to(m_, model_->real());
  state.v->write_to(v_, model_->real());
  if (state.gradients != nullptr) {
    state.gradients->write_to(grads_, model_->real());
  }
  const auto bad = static_cast<std::int32_t>(refused);
  metrics_.write(kBadOffset, &bad, sizeof bad);
}

void Stages::start_ewc(const run::Weights *fisher, const run::Weights *anchor) {
  fisher_ = run::Buffer(*session_, weights_.bytes());
  anchor_ = run::Buffer(*session_, weights_.bytes());
  slot_of(shared_, Slot::kFisher) = &fisher_;
  slot_of(shared_, Slot::kAnchor) = &anchor_;
  if (fisher != nullptr) {
    fisher->write_to(fisher_, model_->real());
    anchor->write_to(anchor_, model_->real());
  } else {
    anchor_.copy_from(0, weights_, 0, weights_.bytes());
  }
}

void Stages::download_ewc(run::Weights &fisher, run::Weights &anchor) const {
  fisher.read_from(fisher_, model_->real());
  anchor.read_from(anchor_, model_->real());
}

void Stages::consolidate(const std::vector<data::Batch> &batches, double decay) {
  for (std::size_t i = 0; i < batches.size(); ++i) {
    run::Stage &s = stage(kFisher, batches[i]);
    feed(s, batches[i], true);
    s.step().set("fisher_keep", i == 0 ? decay : 1.0);
    s.step().set("fisher_take", (1.0 - decay) / static_cast<double>(batches.size()));
    s.run();
  }
  anchor_.copy_from(0, weights_, 0, weights_.bytes());
}

run::Stage &Stages::stage(int program, const data::Batch &batch) {
  const auto tokens = static_cast<std::int64_t>(batch.tokens.size());
  const auto sequences = static_cast<std::int64_t>(batch.offsets.size()) - 1;
  std::unique_ptr<run::Stage> &stage = stages_[{program, {tokens, sequences}}];
  if (stage) {
    return *stage;
  }
  if (program != kEval && program != kForward) {
    need_gradients();
  }
  if (program == kAccumulate || program == kUpdate) {
    need_optimizer();
  }
  const Bucket bucket{tokens, sequences, std::min(tokens, model_->l_max())};
  switch (program) {
    case kEval:
      stage = std::make_unique<run::Stage>(*session_, model_->eval(bucket, objective_), shared_);
      break;
    case kForward:
    case kForwardGrads:
      stage = std::make_unique<run::Stage>(
          *session_, model_->forward(bucket, objective_, program == kForwardGrads), shared_);
      break;
    case kFisher:
      stage = std::make_unique<run::Stage>(*session_, model_->fisher(bucket, optimizer_.all_reduce),
                                           shared_);
      break;
    default:
      stage = std::make_unique<run::Stage>(
          *session_, model_->train(bucket, objective_, optimizer_, program == kUpdate), shared_);
  }
  return *stage;
}

void Stages::feed(run::Stage &stage, const data::Batch &batch, bool targets) {
  stage.write("tokens", batch.tokens);
  stage.write("offsets", batch.offsets);
  if (targets) {
    stage.write("targets", batch.targets);
  }
  stage.step().set("inv_count", batch.counted > 0 ? 1.0 / static_cast<double>(batch.counted) : 0.0);
  stage.step().set("grad_scale", 1.0);
  stage.step().set_integer("first", 1);
}

namespace {

double read_loss(const run::Stage &stage, calm_dtype real) {
  if (real == CALM_F32) {
    std::vector<float> loss;
    stage.read("loss_sum", loss);
    return static_cast<double>(loss[0]);
  }
  std::vector<double> loss;
  stage.read("loss_sum", loss);
  return loss[0];
}

}  // namespace

double Stages::eval(const data::Batch &batch) {
  run::Stage &s = stage(kEval, batch);
  feed(s, batch, true);
  s.run();
  return read_loss(s, model_->real());
}

Stages::Forward Stages::forward(const data::Batch &batch, bool gradients) {
  run::Stage &s = stage(gradients ? kForwardGrads : kForward, batch);
  feed(s, batch, true);
  s.run();
  Forward result;
  result.loss_sum = read_loss(s, model_->real());
  if (model_->real() == CALM_F32) {
    s.read("logits", result.logits);
  } else {
    std::vector<double> wide;
    s.read("logits", wide);
    result.logits.assign(wide.begin(), wide.end());
  }
  return result;
}

// Bias corrections in double on the host (program rule 5).
void Stages::set_update(run::Stage &stage, double lr, std::uint64_t t) const {
  const auto steps = static_cast<double>(t);
  stage.step().set("lr", lr);
  stage.step().set("bias1", 1.0 - std::pow(optimizer_.beta1, steps));
  stage.step().set("bias2", 1.0 - std::pow(optimizer_.beta2, steps));
}

void Stages::train(const data::Batch &batch, const MicroBatch &micro) {
  if (unread_metrics() >= LanguageModel::kRingRows) {
    throw Error(CALM_INTERNAL, "the metrics ring is full: read_metrics() must be called");
  }
  run::Stage &s = stage(micro.update ? kUpdate : kAccumulate, batch);
  feed(s, batch, true);
  s.step().set("grad_scale", micro.grad_scale);
  s.step().set("ewc_scale", micro.ewc_lambda * micro.grad_scale);
  s.step().set_integer("first", micro.first ? 1 : 0);
  s.step().set_integer("metrics_row", written_ % LanguageModel::kRingRows);
  set_update(s, micro.lr, micro.t);
  last_fence_ = s.start();  // the host prepares the next batch meanwhile
  last_stage_ = &s;
  ++written_;
}

void Stages::prepare(const data::Batch &batch) { stage(kUpdate, batch); }

std::vector<Stages::Metrics> Stages::read_metrics() {
  std::vector<Metrics> rows;
  if (unread_metrics() == 0) {
    return rows;
  }
  const run::Stage *any = nullptr;
  for (const auto &[key, stage] : stages_) {
    if (key.first == kAccumulate || key.first == kUpdate) {
      any = stage.get();
    }
  }
  if (any == nullptr) {
    throw Error(CALM_INTERNAL, "metrics are unread, but no program wrote any");
  }
  last_stage_->wait(last_fence_);  // where the failures of all these runs surface
  const graph::Binding &ring = any->binding(Slot::kMetrics, "ring");
  std::vector<double> values(static_cast<std::size_t>(elements(ring.type)));
  if (model_->real() == CALM_F32) {
    std::vector<float> narrow(values.size());
    metrics_.read(ring.offset, narrow.data(), ring.bytes);
    values.assign(narrow.begin(), narrow.end());
  } else {
    metrics_.read(ring.offset, values.data(), ring.bytes);
  }
  for (; read_ < written_; ++read_) {
    const auto row =
        static_cast<std::size_t>(read_ % LanguageModel::kRingRows * LanguageModel::kRingColumns);
    // Losses may be what they are; the count of refused updates is a number, or nothing was
    // computed.
    if (!(values[row + 2] >= 0 && values[row + 2] <= 1e9)) {
      throw Error(CALM_INTERNAL, session_->who() + ": the metrics of training are not finite");
    }
    rows.push_back({values[row], values[row + 1], static_cast<std::int64_t>(values[row + 2]),
                    values[row + 3]});
  }
  return rows;
}

std::uint64_t Stages::device_bytes() const {
  std::uint64_t workspace = 0;
  std::uint64_t io = 0;
  for (const auto &[key, stage] : stages_) {
    const graph::Program &p = stage->program().program();
    workspace = std::max(workspace, stage->program().workspace_bytes());
    io += p.slot_bytes(Slot::kInput) + p.slot_bytes(Slot::kOutput);
  }
  return weights_.bytes() + grads_.bytes() + m_.bytes() + v_.bytes() + fisher_.bytes() +
         anchor_.bytes() + metrics_.bytes() + workspace + io;
}

}  // namespace calm::train
