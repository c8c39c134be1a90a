#include "core/train/run.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"

namespace calm::train {

namespace {

// What training starts from; `checkpoint` stays empty unless a run is resumed.
run::LoadedModel start_model(run::Runtime &runtime, const TrainConfig &config,
                             std::optional<Checkpoint> &checkpoint) {
  if (!config.resume.empty()) {
    Checkpoint read = read_checkpoint(runtime, config.resume, config.weights_only);
    run::LoadedModel loaded = std::move(read.loaded);
    if (!config.weights_only) {
      checkpoint = std::move(read);
    }
    return loaded;
  }
  return config.init_cwgt.empty()
             ? run::make_model(runtime, config.backbone, config.model, config.seed)
             : run::load_model(runtime, config.init_cwgt);
}

}  // namespace

Run::Run(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
         TrainObserver &observer)
    : runtime_(runtime),
      session_(session),
      config_(config),
      ranks_(runtime.comm()),
      observer_(ranks_.first() ? observer : silent_),
      store_(ranks_.first() ? std::make_unique<CheckpointStore>(config.save_dir) : nullptr),
      loaded_(start_model(runtime, config, checkpoint_)),
      trainer_(runtime.plugins().trainer(config.objective)),
      options_(config.training.records()),
      batch_size_(config.training.integer("batch_size")),
      accumulation_(config.training.integer("gradient_accumulation_steps")),
      log_interval_(config.training.integer("log_interval_steps")) {
  const std::int64_t l_max = loaded_.model->l_max();
  run::check_savable(runtime, *loaded_.model, config.metadata);
  if (store_) {
    // Whether the result can be written is found out now, not after hours.
    OutputFile probe(config.save_dir + "/model.cwgt");
  }
  train_ = read_samples(runtime, trainer_, config.dataset, l_max);
  at_.dataset = train_.fingerprint();
  if (!config.val_dataset.empty()) {
    val_ = read_samples(runtime, trainer_, config.val_dataset, l_max, false);
    at_.val_dataset = val_.fingerprint();
  }
  const auto samples = static_cast<std::uint64_t>(train_.usable.size());
  const auto batch = static_cast<std::uint64_t>(batch_size_);
  const auto accumulation = static_cast<std::uint64_t>(accumulation_);
  const auto epochs = static_cast<std::uint64_t>(config.training.integer("epochs"));
  scheduled_ = scheduled_steps(samples, batch, accumulation, epochs);
  total_ = real_steps(train_.taken(batch), batch, accumulation, epochs);
  if (config.max_steps) {
    total_ = std::min(total_, *config.max_steps);
  }
  optimizer_.weight_decay = config.training.real("weight_decay");
  optimizer_.clip_grad_norm = config.training.real("clip_grad_norm");
  optimizer_.recompute = config.training.flag("gradient_checkpointing");
  optimizer_.ewc = config.ewc.has_value();
  optimizer_.all_reduce = ranks_.several();
  stages_ = std::make_unique<Stages>(session, *loaded_.model,
                                     run::Objective{&trainer_, &config_.training}, optimizer_);
  stages_->upload(*loaded_.weights);
  start_ewc();
  if (checkpoint_) {
    resume(*checkpoint_);
  }
}

// Everything was read, by every rank: the folder may change.
void Run::begin() {
  start_alike();
  ranks_.together([this] {
    if (store_) {
      store_->set_aside(checkpoint_ ? &checkpoint_->manifest : nullptr);
    }
    observer_.started({loaded_.model->param_count(), train_.usable.size(), val_.usable.size(),
                       static_cast<std::uint64_t>(batch_size_),
                       static_cast<std::uint64_t>(config_.training.integer("epochs")), scheduled_,
                       train_.dataset.size() - train_.usable.size(),
                       val_.dataset.size() - val_.usable.size(), session_.name(),
                       config_.training.real("learning_rate"),
                       config_.training.integer("warmup_steps"), first_step_});
  });
  checkpoint_.reset();
  start_ = mark_ = looked_ = Clock::now();
}

void Run::check_data(const run::Manifest::Progress &before) const {
  const auto check = [this](const std::string &then, const std::string &now,
                            const std::string &path, const char *flag) {
    if (then == now || then.empty()) {
      return;
    }
    const std::string what = fmt::format(
        "{}: expected the {} that {} was made with, found other "
        "sequences",
        now.empty() ? flag : path, flag, config_.resume);
    if (!config_.force) {
      throw Error(CALM_INVALID_ARGUMENT, what + "; --force goes on all the same");
    }
    log_warning("{}", what);
  };
  check(before.dataset, at_.dataset, config_.dataset, train_.flag());
  check(before.val_dataset, at_.val_dataset, config_.val_dataset, "--val-dataset");
}

void Run::resume(Checkpoint &checkpoint) {
  const run::Manifest::Progress &before = checkpoint.manifest.progress;
  check_data(before);
  if (before.position > train_.usable.size()) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}/{}: training.position: expected at most {}, the samples of {}, "
                            "found {}",
                            checkpoint.path, run::Manifest::kName, train_.usable.size(),
                            config_.dataset, before.position));
  }
  const std::string dataset = at_.dataset, val_dataset = at_.val_dataset;
  at_ = before;
  at_.dataset = dataset;
  at_.val_dataset = val_dataset;
  books_ = Bookkeeping(before.best_train_loss, before.best_val_loss, before.patience_counter);
  if (checkpoint.best && config_.export_weights == Export::kBest) {
    best_ = std::move(checkpoint.best);  // its layout is the model's, which was moved, not copied
  }
  if (checkpoint.gradients && !ranks_.first()) {
    // They are the sum over the ranks that were; the next update adds up those that are.
    const std::span<float> gradients = checkpoint.gradients->flat();
    std::fill(gradients.begin(), gradients.end(), 0.0F);
  }
  stages_->upload({checkpoint.m.get(), checkpoint.v.get(), checkpoint.gradients.get()},
                  before.refused);
  if (config_.ewc && checkpoint.ewc_buffer) {
    ewc_buffer_ = std::move(*checkpoint.ewc_buffer);
    ewc_buffer_.limit(config_.ewc->buffer_batches);
  }
  first_step_ = at_.global_step;
  newest_ = checkpoint.path;
  if (!checkpoint.manifest.optimizer.groups.empty()) {
    lr_ = checkpoint.manifest.optimizer.groups[0].lr;
  }
}

run::Manifest Run::manifest() const {
  run::Manifest m;
  m.backbone = config_.backbone;
  m.objective = config_.objective;
  m.model = loaded_.model->config().list();
  m.training = config_.training.list();
  m.seed = config_.seed;
  m.metadata = config_.metadata;
  m.progress = at_;
  if (config_.ewc) {
    m.continual = continual_section(*config_.ewc);
    m.ewc.emplace();
    m.ewc->initialized = consolidated_;
    m.ewc->buffer_count = ewc_buffer_.size();
  }
  m.progress.patience_counter = books_.counter();
  m.progress.best_train_loss = books_.best_train();
  m.progress.best_val_loss = books_.best_val();
  m.optimizer.step = at_.global_step;
  for (const bool decay : {true, false}) {
    run::Manifest::Optimizer::Group group;
    group.weight_decay = decay ? optimizer_.weight_decay : 0;
    group.lr = lr_;
    group.beta1 = optimizer_.beta1;
    group.beta2 = optimizer_.beta2;
    group.eps = optimizer_.eps;
    for (const graph::Param &param : loaded_.model->layout().params()) {
      if (param.decay == decay) {
        group.params.push_back(param.name);
      }
    }
    m.optimizer.groups.push_back(std::move(group));
  }
  return m;
}

// `must`: the run ends here, so a failure is the run's; otherwise training goes on and the end of
// the run tells.
void Run::save(bool epoch_improved, bool must) {
  if (at_.refused > 0 && !must) {
    return;  // it may be diverging: checkpoints of that must not push out the good ones
  }
  run::Weights &weights = *loaded_.weights;
  stages_->download(weights);
  run::Weights m(weights.layout()), v(weights.layout());
  std::unique_ptr<run::Weights> gradients;
  if (at_.accumulated > 0) {
    gradients = std::make_unique<run::Weights>(weights.layout());
  }
  stages_->download({&m, &v, gradients.get()});
  if (gradients) {
    ranks_.sum(gradients->flat());
  }
  const run::EwcWeights ewc = consolidated_ ? ewc_weights() : run::EwcWeights{};
  Snapshot all{manifest(), &weights, &m, &v, gradients.get(), best_.get()};
  all.ewc = &ewc;
  all.ewc_buffer = config_.ewc ? &ewc_buffer_ : nullptr;
  try {
    ranks_.together([&] {
      if (!store_) {
        return;
      }
      newest_ =
          epoch_improved
              ? store_->save_epoch(runtime_, all, static_cast<std::uint64_t>(at_.current_epoch + 1))
              : store_->save_step(runtime_, all);
      observer_.saved(newest_);
    });
  } catch (const Error &e) {
    if (must || e.status() != CALM_IO) {
      throw;
    }
    save_failure_ = e.what();
    log_warning("step {}: no checkpoint was written, training goes on: {}", at_.global_step,
                e.what());
  }
  mark_ = Clock::now();
}

TrainResult Run::run() {
  begin();
  while (!finished()) {
    epoch();
  }
  return publish();
}

// Spec I.12 with ruling P.3.
TrainResult Run::publish() {
  stages_->download(*loaded_.weights);
  TrainResult result;
  // Alone, a run that is told to stop while its last files are written was stopped too.
  result.signal = ranks_.several() ? signal_ : runtime_.stop_signal();
  result.cancelled = result.signal != 0;
  result.steps = at_.global_step;
  result.train_loss = metrics_.mean_loss;
  result.best_val_loss = at_.exported;
  result.checkpoint = newest_;
  const run::Weights &weights = best_ ? *best_ : *loaded_.weights;
  ranks_.together([&] {
    if (!weights.finite()) {
      throw Error(CALM_DIVERGED,
                  "training diverged: the weights are not finite; nothing was published");
    }
  });
  const run::EwcWeights ewc = ewc_for_export(weights);
  result.model_path = config_.save_dir + "/model.cwgt";
  ranks_.together([&] {
    if (!ranks_.first()) {
      return;
    }
    run::save_model(runtime_, *loaded_.model, weights, config_.metadata, result.model_path, ewc);
    if (!save_failure_.empty()) {
      throw Error(CALM_IO,
                  fmt::format("training is done and {} is written, but not every checkpoint; "
                              "the last failure: {}",
                              result.model_path, save_failure_));
    }
  });
  return result;
}

TrainResult train(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
                  TrainObserver &observer) {
  const comm::Ranks ranks(runtime.comm());
  std::optional<Run> run;
  ranks.together([&] {
    if (config.pairs && ranks.several()) {
      throw Error(
          CALM_INVALID_ARGUMENT,
          fmt::format("objective {} compares all pairs of a batch with each other: expected "
                      "one process, found {}",
                      config.objective, ranks.count()));
    }
    run.emplace(runtime, session, config, observer);
  });
  return run->run();
}

}  // namespace calm::train
