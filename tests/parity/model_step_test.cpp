// Incremental decoding: prefill, then one token at a time (spec E.8).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/run/buckets.hpp"
#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using graph::Slot;
using run::Stage;

CALM_PARITY_ON_EVERY_BACKEND(ModelStep);

std::vector<float> read_state(const Stage &stage, const std::string &name) {
  const graph::Binding &b = stage.binding(Slot::kState, name);
  std::vector<float> values(b.bytes / sizeof(float));
  stage.state().read(b.offset, values.data(), b.bytes);
  return values;
}

void expect_states(const TensorFile &file, const std::string &prefix, std::int64_t layers,
                   const Stage &stage) {
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string golden = prefix + "/layer" + std::to_string(i);
    const std::string block = "blocks." + std::to_string(i);
    file.expect(golden + "/conv_state", read_state(stage, block + ".conv"));
    file.expect(golden + "/ssm_state", read_state(stage, block + ".ssm"));
  }
}

void copy_states(const Stage &from, Stage &to) {
  for (const graph::Binding &b : to.program().program().bindings()) {
    if (b.slot == Slot::kState && b.name != "ids") {
      const graph::Binding &source = from.binding(Slot::kState, b.name);
      ASSERT_EQ(source.bytes, b.bytes);
      to.state().copy_from(b.offset, from.state(), source.offset, b.bytes);
    }
  }
}

void check_steps(run::Session &session, const std::string &model_file,
                 const std::string &golden_file) {
  const run::LoadedModel loaded = run::load_model(model_test::runtime(), path(model_file));
  const std::int64_t layers = loaded.model->config().integer("n_layers");
  run::Buffer weights(session, loaded.weights->flat().size_bytes());
  loaded.weights->write_to(weights);
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  const TensorFile file(golden_file);

  const std::vector<std::string> prompts = file.with_suffix("/ids");
  ASSERT_FALSE(prompts.empty());
  for (const std::string &name : prompts) {
    const data::Dataset prompt = model_test::make_dataset(file.rows(name + "/ids"));
    const auto batch_size = static_cast<std::int64_t>(prompt.size());
    const data::Batch batch =
        data::pack_inputs(prompt, model_test::all_of(prompt), batch_size, loaded.model->l_max());
    const auto bucket = static_cast<std::int64_t>(batch.tokens.size());
    Stage prefill(session, loaded.model->prefill({bucket, batch_size, bucket}, true), shared);
    prefill.write("tokens", batch.tokens);
    prefill.write("offsets", batch.offsets);
    prefill.run();

    std::vector<float> all, last;
    prefill.read("all_logits", all);
    prefill.read("logits", last);
    const auto vocab = static_cast<std::size_t>(run::LanguageModel::kVocab);
    std::vector<float> last_of_all;
    for (std::size_t i = 0; i < prompt.size(); ++i) {
      const auto end = all.begin() + static_cast<std::ptrdiff_t>(vocab) * batch.offsets[i + 1];
      last_of_all.insert(last_of_all.end(), end - static_cast<std::ptrdiff_t>(vocab), end);
    }
    expect_close(last, last_of_all, {1e-5, 1e-5}, name + ": last row and all rows");
    all.resize(static_cast<std::size_t>(batch.rows) * vocab);
    file.expect(name + "/prefill_logits", all);
    expect_states(file, name + "/prefill", layers, prefill);

    Stage step(session, loaded.model->step(batch_size), shared);
    copy_states(prefill, step);
    const graph::Binding &ids = step.binding(Slot::kState, "ids");
    std::vector<float> logits;
    for (const std::vector<std::int32_t> &tokens : file.rows(name + "/tokens")) {
      step.state().write(ids.offset, tokens.data(), ids.bytes);
      step.run();
      std::vector<float> now;
      step.read("logits", now);
      logits.insert(logits.end(), now.begin(), now.end());
    }
    file.expect(name + "/step_logits", logits);
    expect_states(file, name + "/final", layers, step);
  }
}

TEST_P(ModelStep, PrefillAndFortyStepsOfPicoEqualTheReference) {
  check_steps(session(), "pico.cwgt", "pico_step.safetensors");
}

TEST_P(ModelStep, PrefillAndFortyStepsOfNanoEqualTheReference) {
  check_steps(session(), "nano.cwgt", "nano_step.safetensors");
}

}  // namespace
}  // namespace calm::golden
