// The sampler on random and on hostile logits: the rules of spec D.1 in exact terms, with room for
// the rounding of the tested dtype, and the distribution of the draws.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(SampleProperty);

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Rule {
  double temperature = 1, top_k = 0, top_p = 0, min_p = 0;
};

Case sampled(const Array &logits, const Rule &rule, double micro_step = 0) {
  return {"sample",
          {logits, real(rule.temperature), scalar_i32(rule.top_k), real(rule.top_p),
           real(rule.min_p), scalar_i64(99), scalar_i32(micro_step)}};
}

// Softmax of logits / T in double.
std::vector<double> probabilities(const std::vector<double> &logits, double temperature) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double sum = 0;
  for (const double x : logits) {
    p.push_back(std::exp((x - top) / temperature));
    sum += p.back();
  }
  for (double &x : p) {
    x /= sum;
  }
  return p;
}

// What the rules keep, with every cut moved by `slack` of the number it compares: outward (+) what
// may be kept, inward (-) what must be. Where numbers tie they tie in any dtype, so a cut between
// equals falls the same way.
std::vector<bool> kept(const std::vector<double> &p, const Rule &rule, double slack) {
  const std::size_t n = p.size();
  std::vector<bool> keep(n, true);
  const double most = *std::max_element(p.begin(), p.end());
  for (std::size_t i = 0; i < n && rule.min_p > 0; ++i) {
    keep[i] = p[i] >= rule.min_p * most * (1 - slack);
  }
  const auto left = [&](std::size_t i) { return keep[i] ? p[i] : 0.0; };
  if (rule.top_k > 0) {
    std::vector<double> sorted;
    for (std::size_t i = 0; i < n; ++i) {
      sorted.push_back(left(i));
    }
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const double cutoff = sorted[std::min(static_cast<std::size_t>(rule.top_k), n) - 1];
    for (std::size_t i = 0; i < n; ++i) {
      keep[i] = keep[i] && p[i] >= cutoff * (1 - slack);
    }
  }
  if (rule.top_p > 0) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < n; ++i) {
      order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return left(a) > left(b); });
    double before = 0;
    for (std::size_t rank = 0; rank < n; ++rank) {
      const double own = left(order[rank]);
      if (rank > 0 && before > rule.top_p + slack) {
        keep[order[rank]] = false;
      }
      before += own;
    }
  }
  return keep;
}

// Logits with many equals among them.
std::vector<double> random_logits(std::mt19937 &random, std::size_t n) {
  std::vector<double> out;
  const auto spread = static_cast<unsigned>(1 + random() % 40);
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(static_cast<double>(random() % (spread * 4)) / 4 - spread);
  }
  return out;
}

Rule random_rule(std::mt19937 &random) {
  const double temperatures[] = {-1, 0, 1e-30, 1e-6, 0.05, 0.6, 1, 1.7, 10, 1e6, 1e30};
  const double ks[] = {0, 0, 1, 2, 5, 40, 319, 320, 321, 100000};
  const double ps[] = {0, 0, 1e-30, 1e-6, 0.1, 0.5, 0.9, 0.999, 1, 2};
  const double mins[] = {0, 0, 1e-6, 0.05, 0.3, 0.999, 1, 1.5, 100};
  return {temperatures[random() % std::size(temperatures)], ks[random() % std::size(ks)],
          ps[random() % std::size(ps)], mins[random() % std::size(mins)]};
}

TEST_P(SampleProperty, ChoosesOnlyWhatTheRulesKeep) {
  std::mt19937 random(1);
  const double slack = device().real() == CALM_F32 ? 1e-4 : 1e-12;
  for (int round = 0; round < 300; ++round) {
    const std::array<std::size_t, 6> sizes = {1, 2, 7, 64, 320, 1000};
    const std::size_t n = sizes[random() % sizes.size()];
    const Rule rule = random_rule(random);
    constexpr std::size_t kRows = 8;
    std::vector<double> all;
    for (std::size_t s = 0; s < kRows; ++s) {
      const std::vector<double> row = random_logits(random, n);
      all.insert(all.end(), row.begin(), row.end());
    }
    const Array logits = real({kRows, static_cast<std::int64_t>(n)}, all);
    const std::vector<Array> got = run(device(), sampled(logits, rule, round));
    SCOPED_TRACE("T " + std::to_string(rule.temperature) + " k " + std::to_string(rule.top_k) +
                 " p " + std::to_string(rule.top_p) + " min_p " + std::to_string(rule.min_p) +
                 " V " + std::to_string(n));
    for (std::size_t s = 0; s < kRows; ++s) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(s * n);
      const std::vector<double> row(first, first + static_cast<std::ptrdiff_t>(n));
      const auto best =
          static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
      const bool cold = rule.temperature <= 0;
      const double scale = cold ? 1 : rule.temperature;
      const std::vector<double> p = probabilities(row, scale);
      const double chosen = got[0].values[s];
      ASSERT_TRUE(chosen >= 0 && chosen < static_cast<double>(n));
      const auto id = static_cast<std::size_t>(chosen);
      const bool greedy = cold || (rule.top_k <= 0 && rule.top_p <= 0 && rule.min_p <= 0);
      if (greedy || rule.min_p > 1) {
        ASSERT_EQ(id, best);
      } else {
        ASSERT_TRUE(kept(p, rule, slack)[id] || id == best) << "id " << id;
        // It would be drawn where its share is not beyond rounding.
        ASSERT_TRUE(p[id] > 0) << "id " << id;
      }
      double sum = 0;
      for (const double x : row) {
        sum += std::exp((x - row[best]) / scale);
      }
      const double log_prob = (row[id] - row[best]) / scale - std::log(sum);
      ASSERT_NEAR(got[1].values[s], log_prob, slack * std::fmax(1, std::fabs(log_prob)));
    }
  }
}

// Draws of a rule over logits of few classes against the distribution the rules leave: the
// statistic stays below its mean by ten deviations, and classes cut off never come.
TEST_P(SampleProperty, DrawsHaveTheDistributionOfWhatIsKept) {
  const std::vector<double> row = {0.5, 2, -1, 2, 0, 1.25, -3, 1};
  const Rule rules[] = {{1, 8, 0, 0},       {0.5, 4, 0, 0}, {2, 0, 0.8, 0}, {1, 0, 0, 0.25},
                        {1.5, 6, 0.9, 0.1}, {0.8, 1, 0, 0}, {1, 3, 0, 0},   {1, 0, 1, 0}};
  constexpr std::int64_t kRows = 500;
  constexpr int kSteps = 40;
  const auto n = row.size();
  std::vector<double> tiled;
  for (std::int64_t i = 0; i < kRows; ++i) {
    tiled.insert(tiled.end(), row.begin(), row.end());
  }
  for (const Rule &rule : rules) {
    std::vector<double> p = probabilities(row, rule.temperature);
    const std::vector<bool> keep = kept(p, rule, 0);
    double mass = 0;
    for (std::size_t i = 0; i < n; ++i) {
      p[i] = keep[i] ? p[i] : 0;
      mass += p[i];
    }
    std::vector<double> counts(n);
    PreparedCase prepared(device(),
                          sampled(real({kRows, static_cast<std::int64_t>(n)}, tiled), rule));
    for (int step = 0; step < kSteps; ++step) {
      prepared.change(sampled(real({kRows, static_cast<std::int64_t>(n)}, tiled), rule, step));
      const std::vector<Array> drawn = prepared.run();
      for (const double id : drawn[0].values) {
        counts[static_cast<std::size_t>(id)] += 1;
      }
    }
    const double draws = static_cast<double>(kRows) * kSteps;
    double statistic = 0;
    double classes = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double expected = draws * p[i] / mass;
      if (expected == 0) {
        EXPECT_EQ(counts[i], 0) << "class " << i << " was cut off";
        continue;
      }
      statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
      classes += 1;
    }
    const double freedom = classes - 1;
    EXPECT_LE(statistic, freedom + 10 * std::sqrt(2 * freedom)) << "top_k " << rule.top_k;
  }
}

// Rows and steps draw apart: equal rows seldom agree more than chance has it.
TEST_P(SampleProperty, RowsAndStepsDrawIndependently) {
  constexpr std::int64_t kRows = 2000;
  const Array logits = real({kRows, 4}, std::vector<double>(kRows * 4, 0));
  const Rule rule{1, 4, 0, 0};
  const std::vector<double> a = run(device(), sampled(logits, rule, 0))[0].values;
  const std::vector<double> b = run(device(), sampled(logits, rule, 1))[0].values;
  int steps = 0;
  int rows = 0;
  for (std::size_t i = 1; i < a.size(); ++i) {
    steps += a[i] == b[i] ? 1 : 0;
    rows += a[i] == a[i - 1] ? 1 : 0;
  }
  // A quarter of 2000, 19 to a deviation.
  EXPECT_NEAR(steps, 500, 100);
  EXPECT_NEAR(rows, 500, 100);
}

TEST_P(SampleProperty, NamesRowsItCannotJudgeByAScoreThatIsNotANumber) {
  const Rule rules[] = {{1, 5, 0, 0}, {0.7, 0, 0.9, 0}, {1, 0, 0, 0.1},
                        {0, 5, 0, 0}, {1, 0, 0, 0},     {1, 3, 0.5, 0.2}};
  const std::vector<std::vector<double>> bad = {{kNan, 1, 2, 3},
                                                {1, 2, kNan, 3},
                                                {1, 2, 3, kNan},
                                                {kNan, kNan, kNan, kNan},
                                                {1, kInfinity, 2, 3},
                                                {kInfinity, kInfinity, 1, 2},
                                                {-kInfinity, -kInfinity, -kInfinity, -kInfinity},
                                                {kInfinity, kNan, -kInfinity, 0}};
  for (const Rule &rule : rules) {
    for (const std::vector<double> &row : bad) {
      // A good row behind it is not touched.
      std::vector<double> both = row;
      both.insert(both.end(), {0, 0, 9, 0});
      const std::vector<Array> got = run(device(), sampled(real({2, 4}, both), rule));
      EXPECT_TRUE(std::isnan(got[1].values[0])) << got[1].values[0];
      EXPECT_GE(got[0].values[0], 0);
      EXPECT_LT(got[0].values[0], 4);
      EXPECT_TRUE(std::isfinite(got[1].values[1]));
    }
  }
}

TEST_P(SampleProperty, ALogitOfMinusInfinityIsNeverChosen) {
  const Array logits = real({1, 4}, {-kInfinity, 0, -kInfinity, 0});
  for (const Rule &rule :
       {Rule{1, 4, 0, 0}, Rule{1, 0, 1, 0}, Rule{5, 0, 0, 1e-9}, Rule{0, 0, 0, 0}}) {
    for (int step = 0; step < 50; ++step) {
      const std::vector<Array> got = run(device(), sampled(logits, rule, step));
      EXPECT_EQ(std::fmod(got[0].values[0], 2), 1);
      EXPECT_TRUE(std::isfinite(got[1].values[0]));
    }
  }
}

TEST_P(SampleProperty, ParametersThatAreNotNumbersAreGreedyOrOff) {
  const Array logits = real({1, 3}, {0, 2, 1});
  for (const Rule &rule :
       {Rule{kNan, 3, 0, 0}, Rule{1, 0, kNan, 0}, Rule{1, 0, 0, kNan}, Rule{kNan, 0, kNan, kNan}}) {
    EXPECT_EQ(run(device(), sampled(logits, rule))[0].values[0], 1);
  }
}

}  // namespace
}  // namespace calm::conformance
