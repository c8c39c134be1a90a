// Initial weights: spec E.1, E.9.
#include "core/run/weights.hpp"

#include <calm/random.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "tests/core/model_fixture.hpp"

namespace calm::run {
namespace {

using model_test::kNano;

struct Moments {
  double mean = 0, deviation = 0;
};
Moments moments(std::span<const float> values) {
  Moments m;
  for (const float v : values) {
    m.mean += static_cast<double>(v) / static_cast<double>(values.size());
  }
  double square = 0;
  for (const float v : values) {
    square += (static_cast<double>(v) - m.mean) * (static_cast<double>(v) - m.mean);
  }
  m.deviation = std::sqrt(square / static_cast<double>(values.size()));
  return m;
}

class Drawn {
 public:
  explicit Drawn(const model_test::Shape &shape, std::uint64_t seed)
      : model_(model_test::make_model(shape)), weights_(model_->layout()) {
    weights_.initialise(seed);
  }
  std::vector<float> of(std::string_view name) const {
    const std::uint32_t index = model_->layout().find(name);
    EXPECT_NE(index, CALM_NONE) << name;
    const std::span<const float> values = weights_.of(index);
    return {values.begin(), values.end()};
  }
  const graph::ParamLayout &layout() const { return model_->layout(); }
  const Weights &weights() const { return weights_; }

 private:
  std::unique_ptr<LanguageModel> model_;
  Weights weights_;
};

// Of n normal draws the mean is off by deviation / √n, the deviation by deviation / √(2n): five
// times that is allowed.
void expect_normal(const Drawn &drawn, const std::string &name, double deviation) {
  const std::vector<float> values = drawn.of(name);
  const Moments m = moments(values);
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(m.mean, 0, 5 * deviation / std::sqrt(n)) << name;
  EXPECT_NEAR(m.deviation, deviation, 5 * deviation / std::sqrt(2 * n)) << name;
}

TEST(InitialWeights, FollowTheTableOfTheSpecification) {
  const Drawn drawn(kNano, 1);
  expect_normal(drawn, "token_emb.weight", 0.02);
  for (const std::string block : {"blocks.0.", "blocks.2."}) {
    expect_normal(drawn, block + "mixer.conv1d_weight", 0.02);
    expect_normal(drawn, block + "mixer.in_proj.weight", 0.02);
    expect_normal(drawn, block + "mixer.x_proj.weight", 0.02);
    expect_normal(drawn, block + "ffn_fc1.weight", 0.02);
    expect_normal(drawn, block + "mixer.out_proj.weight", 0.02 / std::sqrt(6.0));
    expect_normal(drawn, block + "ffn_fc2.weight", 0.02 / std::sqrt(6.0));
    for (const char *norm : {"ln1", "ln2"}) {
      for (const float w : drawn.of(block + norm + ".weight")) {
        EXPECT_EQ(w, 1.0F);
      }
      for (const float b : drawn.of(block + norm + ".bias")) {
        EXPECT_EQ(b, 0.0F);
      }
    }
    for (const float skip : drawn.of(block + "mixer.D")) {
      EXPECT_EQ(skip, 1.0F);
    }
    const std::vector<float> a_log = drawn.of(block + "mixer.A_log");
    for (std::size_t i = 0; i < a_log.size(); ++i) {
      EXPECT_FLOAT_EQ(a_log[i], std::log(static_cast<float>(i % 16 + 1)));
    }
    const std::vector<float> dt = drawn.of(block + "mixer.dt_proj.weight");  // R = 4
    EXPECT_GE(*std::min_element(dt.begin(), dt.end()), -0.5F);
    EXPECT_LE(*std::max_element(dt.begin(), dt.end()), 0.5F);
    EXPECT_NEAR(moments(dt).deviation, 1 / std::sqrt(12.0), 0.05);
  }
}

TEST(InitialWeights, TheStepSizeIsLogUniform) {
  std::vector<float> logs;
  for (const float bias : Drawn(kNano, 1).of("blocks.1.mixer.dt_proj.bias")) {
    const double dt = std::log1p(std::exp(static_cast<double>(bias)));
    EXPECT_GE(dt, 0.000999);
    EXPECT_LE(dt, 0.1001);
    logs.push_back(static_cast<float>((std::log(dt) - std::log(0.001)) / std::log(100.0)));
  }
  EXPECT_NEAR(moments(logs).mean, 0.5, 0.13);  // five deviations of 128 draws
  EXPECT_NEAR(moments(logs).deviation, 1 / std::sqrt(12.0), 0.07);
}

TEST(InitialWeights, AreTheSameForTheSameSeedAndOthersForAnother) {
  const Drawn a(kNano, 5), b(kNano, 5), c(kNano, 6);
  EXPECT_TRUE(
      std::equal(a.weights().flat().begin(), a.weights().flat().end(), b.weights().flat().begin()));
  EXPECT_NE(a.of("token_emb.weight"), c.of("token_emb.weight"));
  EXPECT_NE(a.of("blocks.0.mixer.dt_proj.bias"), c.of("blocks.0.mixer.dt_proj.bias"));
}

TEST(InitialWeights, EveryParameterHasAStreamOfItsOwn) {
  const Drawn drawn(kNano, 5);
  EXPECT_NE(drawn.of("blocks.0.mixer.in_proj.weight"), drawn.of("blocks.1.mixer.in_proj.weight"));
  // The stream is the name's: what else a model has changes nothing.
  const std::string name = "blocks.2.mixer.dt_proj.weight";
  const std::vector<float> values = drawn.of(name);  // uniform in [-1/2, 1/2)
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    const calm_philox4 block = calm_philox(5, i / 4, 0, 0, calm_stream_id(str(name)));
    EXPECT_FLOAT_EQ(values[i], calm_uniform(block.word[i % 4]) - 0.5F);
  }
}

TEST(InitialWeights, LeaveThePaddingOfTheFlatSlotZero) {
  const Drawn drawn(model_test::kOdd, 5);
  std::vector<bool> inside(drawn.layout().elements(), false);
  for (const graph::Param &p : drawn.layout().params()) {
    std::fill_n(inside.begin() + static_cast<std::ptrdiff_t>(p.offset), elements(p.type), true);
  }
  for (std::size_t i = 0; i < inside.size(); ++i) {
    EXPECT_TRUE(inside[i] || drawn.weights().flat()[i] == 0.0F) << i;
  }
}

TEST(Weights, GoToADeviceAndBackInBothPrecisions) {
  const std::unique_ptr<Session> session = model_test::reference();
  const Drawn drawn(model_test::kOdd, 5);
  for (const calm_dtype real : {CALM_F32, CALM_F64}) {
    Buffer buffer(*session, drawn.layout().elements() * dtype_bytes(real));
    drawn.weights().write_to(buffer, real);
    Weights back(drawn.layout());
    back.read_from(buffer, real);
    EXPECT_TRUE(std::equal(back.flat().begin(), back.flat().end(), drawn.weights().flat().begin()));
  }
}

TEST(Weights, KnowWhetherTheyAreFinite) {
  Drawn drawn(model_test::kOdd, 5);
  Weights weights(drawn.layout());
  EXPECT_TRUE(weights.finite());
  weights.of(3)[1] = std::nanf("");
  EXPECT_FALSE(weights.finite());
}

}  // namespace
}  // namespace calm::run
