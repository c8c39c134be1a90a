// The symmetric InfoNCE loss of the contrastive trainer and its gradients (spec H.1, H.4).
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "core/graph/autodiff.hpp"
#include "core/graph/optimizer.hpp"
#include "core/run/stage.hpp"
#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using graph::Slot;
using model_test::real;
using model_test::text;

CALM_PARITY_ON_EVERY_BACKEND(InfoNce);

const calm_trainer &contrastive() { return model_test::runtime().plugins().trainer("contrastive"); }

// What the trainer makes of vectors of length 1, each a sequence of one row.
struct OfVectors {
  double loss = 0;
  std::vector<float> gradient;  // of the mean over the pairs, [2B, d]
};

OfVectors of_vectors(run::Session &session, const std::vector<float> &rows, std::int64_t d,
                     double temperature) {
  const auto sequences = static_cast<std::int64_t>(rows.size()) / d;
  const run::Values options =
      run::Values::resolve(contrastive().options, {{real("temperature", temperature)}}, "training");
  graph::ParamLayout layout;
  graph::Graph graph("infonce", {sequences, sequences, 1}, CALM_F32, layout,
                     model_test::runtime().operators());
  const graph::GraphBuilder builder(graph);
  calm_param param{};
  param.size = sizeof param;
  param.name = str("rows");
  param.type = type_of(CALM_F32, {sequences, d}, CALM_AXIS_TOKENS);
  const Value vectors = builder.face().param(param);
  layout.freeze();
  const Value offsets = graph.input("offsets", type_of(CALM_I32, {sequences + 1}));
  const std::vector<calm_value> records = options.records();
  calm_trainer_io io{};
  io.size = sizeof io;
  io.n_options = static_cast<std::uint32_t>(records.size());
  io.options = records.data();
  io.logits = CALM_NONE;
  io.targets = CALM_NONE;
  io.rows = vectors.id;
  io.offsets = offsets.id;
  Value loss;
  call(contrastive().build, &builder.table(), &io, &loss.id);
  graph.output("loss", loss);
  const Value seed = graph.step_value("inv_count", CALM_F32);
  graph.step_value("first", CALM_I32);
  accumulate_gradients(graph, differentiate(graph, loss, seed));

  run::Buffer weights(session, layout.elements() * sizeof(float));
  run::Buffer grads(session, layout.elements() * sizeof(float));
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  run::slot_of(shared, Slot::kGrads) = &grads;
  const std::uint64_t at = layout.param(0).offset * sizeof(float);
  weights.write(at, rows.data(), rows.size() * sizeof(float));
  run::Stage stage(session, std::move(graph), shared);
  std::vector<std::int32_t> each(static_cast<std::size_t>(sequences) + 1);
  std::iota(each.begin(), each.end(), 0);
  stage.write("offsets", each);
  const double inv_count = 2.0 / static_cast<double>(sequences);
  stage.step().set("inv_count", inv_count);
  stage.step().set_integer("first", 1);
  stage.run();
  std::vector<float> sum;
  stage.read("loss", sum);
  OfVectors result{static_cast<double>(sum.at(0)) * inv_count, std::vector<float>(rows.size())};
  grads.read(at, result.gradient.data(), rows.size() * sizeof(float));
  return result;
}

// The golden gradients are by the vectors as they are, the trainer's go through normalising them,
// which takes away what lies along each.
std::vector<float> across(const std::vector<float> &gradient, const std::vector<float> &vectors,
                          std::size_t d) {
  std::vector<float> out = gradient;
  for (std::size_t begin = 0; begin < out.size(); begin += d) {
    double along = 0;
    for (std::size_t i = begin; i < begin + d; ++i) {
      along += static_cast<double>(gradient[i]) * static_cast<double>(vectors[i]);
    }
    for (std::size_t i = begin; i < begin + d; ++i) {
      out[i] -= static_cast<float>(along * static_cast<double>(vectors[i]));
    }
  }
  return out;
}

TEST_P(InfoNce, OfVectorsEqualsTheReference) {
  const TensorFile file("pico_infonce.safetensors");
  const std::vector<std::string> cases = file.with_suffix("/q");
  ASSERT_EQ(cases.size(), 3u);
  for (const std::string &name : cases) {
    const std::vector<float> q = file.reals(name + "/q"), p = file.reals(name + "/p");
    const auto d = static_cast<std::size_t>(file.shape(name + "/q").at(1));
    std::vector<float> rows = q;
    rows.insert(rows.end(), p.begin(), p.end());
    const auto temperature = static_cast<double>(file.reals(name + "/temperature").at(0));
    const OfVectors got = of_vectors(session(), rows, static_cast<std::int64_t>(d), temperature);
    const float loss[] = {static_cast<float>(got.loss)};
    file.expect(name + "/loss", loss);
    const std::span<const float> gradient = got.gradient;
    expect_close(gradient.first(q.size()), across(file.reals(name + "/dq"), q, d),
                 file.tolerance(name + "/dq"), name + "/dq");
    expect_close(gradient.subspan(q.size()), across(file.reals(name + "/dp"), p, d),
                 file.tolerance(name + "/dp"), name + "/dp");
  }
}

void check_model(run::Session &session, const std::string &pool, bool gradients_too) {
  run::LoadedModel loaded = run::load_model(model_test::runtime(), path("pico.cwgt"));
  const TensorFile file("pico_infonce.safetensors");
  const run::Values options =
      run::Values::resolve(contrastive().options, {{text("pool_mode", pool)}}, "training");
  train::Stages stages(session, *loaded.model, {&contrastive(), &options}, {});
  stages.upload(*loaded.weights);

  std::vector<std::vector<std::int32_t>> rows = file.rows("model/ids");
  const std::vector<std::vector<std::int32_t>> mask = file.rows("model/mask");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].resize(static_cast<std::size_t>(std::accumulate(mask[i].begin(), mask[i].end(), 0)));
  }
  const data::Dataset dataset = model_test::make_dataset(rows);
  data::Batch batch =
      data::pack_inputs(dataset, model_test::all_of(dataset),
                        static_cast<std::int64_t>(rows.size()), loaded.model->l_max());
  batch.counted = static_cast<std::int64_t>(rows.size() / 2);
  const float loss[] = {static_cast<float>(stages.forward(batch, true).loss_sum /
                                           static_cast<double>(batch.counted))};
  file.expect("model/" + pool + "/loss", loss);
  if (!gradients_too) {
    return;
  }
  run::Weights gradients(loaded.model->layout());
  gradients.read_from(stages.grads());
  for (std::uint32_t i = 0; i < loaded.model->layout().params().size(); ++i) {
    file.expect("model/" + pool + "/grad/" + loaded.model->layout().param(i).name, gradients.of(i));
  }
}

TEST_P(InfoNce, OfAModelByMeansEqualsTheReferenceInEveryParameter) {
  check_model(session(), "mean", true);
}

TEST_P(InfoNce, OfAModelByLastRowsEqualsTheReference) { check_model(session(), "last", false); }

}  // namespace
}  // namespace calm::golden
