// Embeddings of the golden models (spec G). A packed row has no mask: its length is the mask.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "core/run/embedder.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using run::Embedder;
using Rows = std::vector<std::vector<std::int32_t>>;

CALM_PARITY_ON_EVERY_BACKEND(Embed);

// Tokens of each row under its mask; with `at_least` 1 a row without any keeps its first.
Rows under_mask(Rows rows, const Rows &mask, std::size_t at_least) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto length =
        static_cast<std::size_t>(std::accumulate(mask[i].begin(), mask[i].end(), 0));
    EXPECT_TRUE(std::is_sorted(mask[i].rbegin(), mask[i].rend())) << "padding stands on the right";
    rows[i].resize(std::max(length, at_least));
  }
  return rows;
}

std::vector<float> embed(run::Session &session, const run::LoadedModel &loaded, Embedder::Pool pool,
                         bool normalize, const Rows &rows) {
  return Embedder(session, *loaded.model, *loaded.weights, {pool, normalize}).embed(rows);
}

void check_embeddings(run::Session &session, const std::string &name) {
  const run::LoadedModel loaded = run::load_model(model_test::runtime(), path(name + ".cwgt"));
  const TensorFile file(name + "_embed.safetensors");
  const Rows padded = file.rows("ids");
  const Rows mask = file.rows("mask");
  for (const bool normalize : {true, false}) {
    const std::string end = normalize ? "norm" : "raw";
    file.expect("mean_nomask_" + end,
                embed(session, loaded, Embedder::Pool::kMean, normalize, padded));
    file.expect("last_nomask_" + end,
                embed(session, loaded, Embedder::Pool::kLast, normalize, padded));
    file.expect("mean_masked_" + end, embed(session, loaded, Embedder::Pool::kMean, normalize,
                                            under_mask(padded, mask, 0)));
    // Without any token "last" takes position 0.
    file.expect("last_masked_" + end, embed(session, loaded, Embedder::Pool::kLast, normalize,
                                            under_mask(padded, mask, 1)));
  }
}

TEST_P(Embed, PicoEqualsTheReference) { check_embeddings(session(), "pico"); }
TEST_P(Embed, NanoEqualsTheReference) { check_embeddings(session(), "nano"); }

// Rows 1 and 2 of the golden mask have holes, which no text gives and no packed row can have.
TEST_P(Embed, OfARowLongerThanTheModelSeesTheEndCounts) {
  const run::LoadedModel loaded = run::load_model(model_test::runtime(), path("pico.cwgt"));
  const TensorFile file("pico_embed.safetensors");
  const Rows ids = file.rows("trunc_ids");
  const Rows mask = file.rows("trunc_mask");
  ASSERT_GT(static_cast<std::int64_t>(ids[0].size()), loaded.model->l_max());
  const std::vector<float> got = embed(session(), loaded, Embedder::Pool::kMean, true,
                                       under_mask({ids[0], ids[3]}, {mask[0], mask[3]}, 0));
  const std::vector<float> want = file.reals("trunc_mean");
  const auto d = static_cast<std::size_t>(file.shape("trunc_mean").at(1));
  for (const std::size_t row : {0U, 1U}) {
    expect_close(std::span(got).subspan(row * d, d), std::span(want).subspan(3 * row * d, d),
                 file.tolerance("trunc_mean"), "trunc_mean of row " + std::to_string(3 * row));
  }
}

}  // namespace
}  // namespace calm::golden
