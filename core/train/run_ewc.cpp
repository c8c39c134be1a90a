#include <numeric>
#include <utility>

#include "core/base/log.hpp"
#include "core/train/run.hpp"

namespace calm::train {

// From a checkpoint or a model file that carries it, else from nothing (program rule 10).
void Run::start_ewc() {
  if (!config_.ewc) {
    if (loaded_.ewc) {
      log_warning(
          "the start weights carry Fisher information that is not used; continual.method = "
          "\"online_ewc\" and continual.lambda protect what they know");
    }
    return;
  }
  ewc_buffer_.limit(config_.ewc->buffer_batches);
  consolidated_ = static_cast<bool>(loaded_.ewc);
  stages_->start_ewc(loaded_.ewc.fisher.get(), loaded_.ewc.anchor.get());
  loaded_.ewc = {};
}

// After an update that is no flush (spec I.9, J.4): the last micro-batch into the buffer, and now
// and then a consolidation.
void Run::remember(std::span<const std::uint32_t> samples) {
  if (!config_.ewc) {
    return;
  }
  ewc_buffer_.add(data::select(train_.dataset, samples));
  if (at_.global_step % config_.ewc->interval == 0 &&
      ewc_buffer_.size() >= config_.ewc->fisher_batches) {
    consolidate(ewc_buffer_.draw(config_.ewc->fisher_batches, config_.seed, at_.global_step),
                config_.ewc->decay);
  }
}

void Run::consolidate(const std::vector<const data::Dataset *> &batches, double decay) {
  std::vector<data::Batch> packed;
  for (const data::Dataset *batch : batches) {
    std::vector<std::uint32_t> all(batch->size());
    std::iota(all.begin(), all.end(), 0U);
    packed.push_back(data::pack(*batch, all, batch_size_, loaded_.model->l_max(), false, share()));
  }
  stages_->consolidate(packed, decay);
  consolidated_ = true;
}

run::EwcWeights Run::ewc_weights() const {
  const graph::ParamLayout &layout = loaded_.model->layout();
  run::EwcWeights ewc{std::make_unique<run::Weights>(layout),
                      std::make_unique<run::Weights>(layout)};
  stages_->download_ewc(*ewc.fisher, *ewc.anchor);
  return ewc;
}

// What the next owner of these weights needs to keep what they know: one more consolidation, at
// the exported weights. Without online EWC it is the only one, over the training set.
run::EwcWeights Run::ewc_for_export(const run::Weights &weights) {
  if (!config_.export_ewc) {
    return {};
  }
  stages_->upload(weights);
  if (config_.ewc) {
    consolidate(ewc_buffer_.draw(config_.ewc->fisher_batches, config_.seed, at_.global_step),
                config_.ewc->decay);
    return ewc_weights();
  }
  stages_->start_ewc(nullptr, nullptr);
  EwcBuffer sample(EwcOptions{}.fisher_batches);
  std::vector<std::uint32_t> order =
      data::shuffled(train_.usable.size(), config_.seed, 0, CALM_STREAM_FISHER);
  for (std::uint32_t &i : order) {
    i = train_.usable[i];
  }
  const auto size = static_cast<std::size_t>(batch_size_);
  const std::size_t wanted = size * EwcOptions{}.fisher_batches;
  for (std::size_t begin = 0; begin < std::min(order.size(), wanted); begin += size) {
    sample.add(data::select(train_.dataset,
                            std::span(order).subspan(begin, std::min(size, order.size() - begin))));
  }
  consolidate(sample.draw(sample.size(), config_.seed, 0), 0);
  return ewc_weights();
}

}  // namespace calm::train
