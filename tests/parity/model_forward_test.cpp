// Logits, losses and gradients of the golden models (spec E, F).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using data::Batch;
using model_test::all_of;
using Rows = std::vector<std::vector<std::int32_t>>;

constexpr std::int64_t kVocab = run::LanguageModel::kVocab;

CALM_PARITY_ON_EVERY_BACKEND(ModelForward);

// A golden model on a session.
class Model {
 public:
  Model(run::Session &session, const std::string &file)
      : loaded_(run::load_model(model_test::runtime(), path(file))),
        stages_(session, *loaded_.model, model_test::next_token(), {}) {
    stages_.upload(*loaded_.weights);
  }
  train::Stages &stages() { return stages_; }
  std::int64_t l_max() const { return loaded_.model->l_max(); }
  const graph::ParamLayout &layout() const { return loaded_.model->layout(); }

  // Logits of the live rows of forward(ids).
  std::vector<float> logits(const data::Dataset &dataset) {
    const Batch batch = data::pack_inputs(dataset, all_of(dataset), sequences(dataset), l_max());
    std::vector<float> all = stages_.forward(batch, false).logits;
    all.resize(static_cast<std::size_t>(batch.rows * kVocab));
    return all;
  }
  float loss(const data::Dataset &dataset, bool use_cmd) {
    const Batch batch = data::pack(dataset, all_of(dataset), sequences(dataset), l_max(), use_cmd);
    const double sum = stages_.eval(batch);
    return batch.counted > 0 ? static_cast<float>(sum / static_cast<double>(batch.counted))
                             : static_cast<float>(sum);
  }

 private:
  static std::int64_t sequences(const data::Dataset &dataset) {
    return static_cast<std::int64_t>(dataset.size());
  }

  run::LoadedModel loaded_;
  train::Stages stages_;
};

Rows without_trailing_pads(Rows rows) {
  for (std::vector<std::int32_t> &row : rows) {
    while (!row.empty() && row.back() == text::kPad) {
      row.pop_back();
    }
  }
  return rows;
}

data::Dataset case_dataset(const TensorFile &file, const std::string &name, const Rows &rows) {
  const std::string cmd = name + "/cmd";
  return model_test::make_dataset(rows,
                                  file.has(cmd) ? file.integers(cmd) : std::vector<std::int32_t>{});
}

void expect_losses(const TensorFile &file, const std::string &name, const data::Dataset &dataset,
                   Model &model) {
  if (file.has(name + "/loss")) {
    const float loss[] = {model.loss(dataset, true)};
    file.expect(name + "/loss", loss);
  }
  if (file.has(name + "/loss_nocmd")) {
    const float loss[] = {model.loss(dataset, false)};
    file.expect(name + "/loss_nocmd", loss);
  }
}

// Rows of padded logits that belong to tokens before the trailing PADs.
std::vector<float> live_rows(const std::vector<float> &padded, const Rows &rows,
                             std::size_t length) {
  std::vector<float> live;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto begin = padded.begin() + static_cast<std::ptrdiff_t>(r * length * kVocab);
    live.insert(live.end(), begin, begin + static_cast<std::ptrdiff_t>(rows[r].size() * kVocab));
  }
  return live;
}

void check_forward(run::Session &session, const std::string &model_file,
                   const std::string &golden_file) {
  Model model(session, model_file);
  const TensorFile file(golden_file);
  const std::vector<std::string> cases = file.with_suffix("/ids");
  ASSERT_FALSE(cases.empty());
  for (const std::string &name : cases) {
    const Rows rows = file.rows(name + "/ids");
    const data::Dataset padded = case_dataset(file, name, rows);
    file.expect(name + "/logits", model.logits(padded));
    expect_losses(file, name, padded, model);

    // Padding on the right changes nothing before it, and its targets do not count.
    const std::size_t length = rows[0].size();
    if (length > static_cast<std::size_t>(model.l_max())) {
      continue;  // truncation counts columns from the right, PADs included
    }
    const Rows ragged_rows = without_trailing_pads(rows);
    const data::Dataset ragged = case_dataset(file, name, ragged_rows);
    expect_close(model.logits(ragged), live_rows(file.reals(name + "/logits"), ragged_rows, length),
                 file.tolerance(name + "/logits"), name + "/logits without padding");
    expect_losses(file, name, ragged, model);
  }
}

TEST_P(ModelForward, LogitsAndLossesOfPicoEqualTheReference) {
  check_forward(session(), "pico.cwgt", "pico_forward.safetensors");
}

TEST_P(ModelForward, LogitsAndLossesOfNanoEqualTheReference) {
  check_forward(session(), "nano.cwgt", "nano_forward.safetensors");
}

void check_gradients(run::Session &session, const std::string &name) {
  Model model(session, "pico.cwgt");
  const TensorFile cases("pico_forward.safetensors");
  const TensorFile golden("pico_grad_" + name + ".safetensors");
  const Rows padded = cases.rows(name + "/ids");
  for (const Rows &rows : {padded, without_trailing_pads(padded)}) {
    const data::Dataset dataset = case_dataset(cases, name, rows);
    const Batch batch = data::pack(dataset, all_of(dataset),
                                   static_cast<std::int64_t>(dataset.size()), model.l_max());
    model.stages().forward(batch, true);
    run::Weights gradients(model.layout());
    gradients.read_from(model.stages().grads());
    for (std::uint32_t i = 0; i < model.layout().params().size(); ++i) {
      golden.expect("grad/" + model.layout().param(i).name, gradients.of(i));
    }
  }
}

TEST_P(ModelForward, GradientsOfEveryParameterEqualTheReference) {
  check_gradients(session(), "main");
}

TEST_P(ModelForward, GradientsOfABatchWithARowOfPaddingEqualTheReference) {
  check_gradients(session(), "allpad_row");
}

}  // namespace
}  // namespace calm::golden
