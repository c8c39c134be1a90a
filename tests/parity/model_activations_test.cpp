// Values inside the network (spec E.2–E.5): they say which part is wrong when the logits are.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using graph::Slot;

CALM_PARITY_ON_EVERY_BACKEND(ModelActivations);

// A golden tensor, and the node that computes it: the first, second... of its origin.
struct Place {
  const char *golden, *origin;
  std::size_t occurrence;
};
constexpr Place kPlaces[] = {
    {"embedding", "embedding", 0},
    {"block0/ln1", "blocks.0/ln1/layer_norm", 0},
    {"block0/in_proj", "blocks.0/mixer/matmul", 0},
    {"block0/x_post_conv_silu", "blocks.0/mixer/causal_conv_silu", 0},
    {"block0/x_proj", "blocks.0/mixer/matmul", 1},
    {"block0/dt_pre_softplus", "blocks.0/mixer/add", 0},
    {"block0/dt", "blocks.0/mixer/softplus", 0},
    {"block0/scan_y", "blocks.0/mixer/selective_scan", 0},
    {"block0/mixer_out", "blocks.0/mixer/matmul", 3},
    {"block0/ffn_fc1", "blocks.0/ffn/matmul", 0},
    {"block0/out", "blocks.0/add", 1},
    {"block1/out", "blocks.1/add", 1},
    {"ln_f", "ln_f/layer_norm", 0},
};

Value find(const graph::Graph &graph, const Place &place) {
  std::size_t left = place.occurrence;
  for (const graph::Node &node : graph.nodes()) {
    if (node.origin == place.origin && left-- == 0) {
      return {node.outs[0]};
    }
  }
  throw Error(CALM_NOT_FOUND, std::string("no node ") + place.origin);
}

TEST_P(ModelActivations, EqualTheReferenceFromTheEmbeddingToTheLastNorm) {
  const TensorFile file("pico_activations.safetensors");
  const data::Dataset dataset =
      model_test::make_dataset(TensorFile("pico_forward.safetensors").rows("main/ids"));
  const run::LoadedModel loaded = run::load_model(model_test::runtime(), path("pico.cwgt"));
  const auto sequences = static_cast<std::int64_t>(dataset.size());
  const data::Batch batch =
      data::pack_inputs(dataset, model_test::all_of(dataset), sequences, loaded.model->l_max());
  const auto rows = static_cast<std::int64_t>(batch.tokens.size());

  graph::Graph graph =
      loaded.model->forward({rows, sequences, rows}, model_test::next_token(), false);
  for (const Place &place : kPlaces) {
    graph.output(place.golden, find(graph, place));
  }
  run::Buffer weights(session(), loaded.weights->flat().size_bytes());
  loaded.weights->write_to(weights);
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  run::Stage stage(session(), std::move(graph), shared);
  stage.write("tokens", batch.tokens);
  stage.write("targets", batch.targets);
  stage.write("offsets", batch.offsets);
  stage.run();
  for (const Place &place : kPlaces) {
    std::vector<float> values;
    stage.read(place.golden, values);
    const auto width = values.size() / batch.tokens.size();
    values.resize(static_cast<std::size_t>(batch.rows) * width);
    file.expect(place.golden, values);
  }
}

}  // namespace
}  // namespace calm::golden
