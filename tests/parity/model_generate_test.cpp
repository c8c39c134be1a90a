// Greedy generation (spec D.3): tokens exactly, scores within the stated tolerance.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/generate/generator.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

CALM_PARITY_ON_EVERY_BACKEND(ModelGenerate);

std::vector<std::string> stop_patterns(const nlohmann::json &params) {
  std::vector<std::string> patterns;
  for (const nlohmann::json &bytes : params.value("stop_patterns", nlohmann::json::array())) {
    std::string &pattern = patterns.emplace_back();
    for (const nlohmann::json &byte : bytes) {
      pattern += static_cast<char>(byte.get<int>());
    }
  }
  return patterns;
}

void check_generation(run::Session &session, const std::string &golden_file) {
  run::LoadedModel loaded =
      run::load_model(model_test::runtime(), path(json(golden_file, "model").get<std::string>()));
  generate::Generator generator(loaded, session);
  const nlohmann::json cases = json(golden_file, "cases");
  ASSERT_FALSE(cases.empty());
  for (const nlohmann::json &c : cases) {
    const nlohmann::json &params = c.at("params");
    generate::Sampling sampling;
    sampling.temperature = params.at("temperature").get<double>();
    sampling.top_k = params.value("top_k", std::int64_t{5});
    sampling.max_tokens = params.at("max_tokens").get<std::int64_t>();
    const std::vector<generate::Candidate> found =
        generator.generate(ids(c.at("prompt")), 2, sampling, stop_patterns(params));
    ASSERT_EQ(found.size(), 2u);
    for (const generate::Candidate &candidate : found) {  // greedy ones are equal
      EXPECT_EQ(candidate.ids, ids(c.at("tokens"))) << c.dump();
      EXPECT_EQ(text::decode_str(candidate.ids), c.at("text").get<std::string>());
      if (c.contains("text_specials")) {
        EXPECT_EQ(text::decode_with_specials(candidate.ids),
                  c.at("text_specials").get<std::string>());
      }
      const auto score = c.at("score").get<double>();
      EXPECT_NEAR(candidate.score, score, 1e-3 + 1e-4 * std::abs(score)) << c.dump();
    }
  }
}

TEST_P(ModelGenerate, PicoFollowsTheReference) {
  check_generation(session(), "pico_generate.json");
}

TEST_P(ModelGenerate, NanoFollowsTheReference) {
  check_generation(session(), "nano_generate.json");
}

TEST_P(ModelGenerate, EosEndsTheTextAndCountsInTheScore) {
  check_generation(session(), "pico_eos_generate.json");
}

}  // namespace
}  // namespace calm::golden
