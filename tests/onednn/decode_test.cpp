// Decoding step by step gives what reading all tokens at once gives. Not to the bit: the
// convolution of one row adds its taps pairwise, that of many one after another. Rows of products
// are equal.
#include <cmath>
#include <span>
#include <string>

#include "tests/onednn/machine.hpp"

namespace calm::onednn_test {
namespace {

using graph::Slot;

constexpr std::size_t kVocab = static_cast<std::size_t>(run::LanguageModel::kVocab);

std::vector<float> state_of(const run::Stage &stage, const std::string &name) {
  const graph::Binding &b = stage.binding(Slot::kState, name);
  std::vector<float> values(b.bytes / sizeof(float));
  stage.state().read(b.offset, values.data(), b.bytes);
  return values;
}

/// The tolerance of prefill and steps on the reference (tests/core/run_prefill_test.cpp).
void expect_near(std::span<const float> got, std::span<const float> want, const std::string &what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 2e-5 + 1e-4 * std::abs(want[i])) << what << ", number " << i;
  }
}

void check_steps(const char *options) {
  constexpr std::size_t kSequences = 3, kPrompt = 5, kLength = 70;  // beyond a chunk of the scan
  Machine machine(2, options);
  const auto model = model_test::make_model(model_test::kNano);
  run::Buffer weights(machine.session(), model->layout().elements() * sizeof(float));
  weights_of(*model, 1).write_to(weights);
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  std::vector<std::vector<std::int32_t>> rows;
  for (std::uint32_t s = 0; s < kSequences; ++s) {
    rows.push_back(model_test::tokens(kLength, s + 1));
  }
  const auto prefill = [&](std::size_t length) {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> offsets = {0};
    for (const std::vector<std::int32_t> &row : rows) {
      tokens.insert(tokens.end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(length));
      offsets.push_back(static_cast<std::int32_t>(tokens.size()));
    }
    const auto all = static_cast<std::int64_t>(tokens.size());
    auto stage = std::make_unique<run::Stage>(machine.session(),
                                              model->prefill({all, kSequences, all}, true), shared);
    stage->write("tokens", tokens);
    stage->write("offsets", offsets);
    stage->run();
    return stage;
  };
  const auto whole = prefill(kLength);
  std::vector<float> want;
  whole->read("all_logits", want);

  const auto prompt = prefill(kPrompt);
  run::Stage step(machine.session(), model->step(kSequences), shared);
  for (const graph::Binding &b : step.program().program().bindings()) {
    if (b.slot == Slot::kState && b.name != "ids") {
      step.state().copy_from(b.offset, prompt->state(),
                             prompt->binding(Slot::kState, b.name).offset, b.bytes);
    }
  }
  const graph::Binding &ids = step.binding(Slot::kState, "ids");
  for (std::size_t t = kPrompt; t < kLength; ++t) {
    std::vector<std::int32_t> now;
    for (const std::vector<std::int32_t> &row : rows) {
      now.push_back(row[t]);
    }
    step.state().write(ids.offset, now.data(), ids.bytes);
    step.run();
    std::vector<float> logits;
    step.read("logits", logits);
    for (std::size_t s = 0; s < kSequences; ++s) {
      const float *const all = want.data() + (s * kLength + t) * kVocab;
      expect_near({logits.data() + s * kVocab, kVocab}, {all, kVocab},
                  "token " + std::to_string(t) + " of sequence " + std::to_string(s));
    }
  }
  for (const graph::Binding &b : step.program().program().bindings()) {
    if (b.slot == Slot::kState && b.name != "ids") {
      expect_near(state_of(step, b.name), state_of(*whole, b.name), b.name);
    }
  }
}

TEST(OnednnDecode, StepsGoWhereThePrefillGoes) { check_steps(""); }
TEST(OnednnDecode, StepsGoWhereThePrefillGoesWithWeightsOfFewerBits) {
  check_steps("weights=bf16");
  check_steps("weights=int8");
}

}  // namespace
}  // namespace calm::onednn_test
