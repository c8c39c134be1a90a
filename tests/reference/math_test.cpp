#include <bit>
#include <cmath>
#include <limits>

#include "tests/reference/harness.hpp"

namespace calm::reference_test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// One operator of one input over `x`.
std::vector<float> map(const char *op, const std::vector<float> &x) {
  const TestSession session;
  Program p;
  const auto in = p.tensor(CALM_F32, {static_cast<std::int64_t>(x.size())});
  const auto out = p.tensor(CALM_F32, {static_cast<std::int64_t>(x.size())}, CALM_ROLE_OUTPUT);
  p.node(op, {in}, {out});
  Compiled compiled(session, p);
  compiled.set(in, x);
  compiled.run();
  return compiled.get<float>(out);
}

/// Distance to the next float above |x|; that of the smallest normal number below it.
double unit_of(double x) {
  const double normal = std::max(std::fabs(x), double{std::numeric_limits<float>::min()});
  return std::exp2(std::floor(std::log2(normal)) - 23);
}

TEST(Math, ExpIsRightToTheLastPlaceOverTheWholeRange) {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xffffffffU; bits += 4999) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isfinite(value)) {
      x.push_back(value);
    }
  }
  for (int i = 0; i < 112'717; ++i) {
    x.push_back(-105 + static_cast<float>(i) * 0.00173F);  // to 90
  }
  const std::vector<float> y = map("exp", x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(static_cast<double>(x[i]));
    if (want > double{std::numeric_limits<float>::max()}) {
      ASSERT_EQ(y[i], kInfinity) << x[i];
    } else {
      ASSERT_LE(std::fabs(static_cast<double>(y[i]) - want), 1.1 * unit_of(want)) << x[i];
    }
  }
}

TEST(Math, FunctionsAreDefinedAtTheEndsOfTheRange) {
  for (const char *op : {"exp", "sigmoid", "silu", "gelu", "softplus"}) {
    const std::vector<float> y = map(op, {-kInfinity, -3e38F, -1e10F, kInfinity, 3e38F, kNan});
    EXPECT_EQ(y[0], 0) << op;
    EXPECT_EQ(y[1], 0) << op;
    EXPECT_EQ(y[2], 0) << op;
    const float top = std::string(op) == "sigmoid" ? 1 : kInfinity;
    EXPECT_EQ(y[3], top) << op;
    EXPECT_GE(y[4], 1) << op;
    EXPECT_TRUE(std::isnan(y[5])) << op;
  }
}

TEST(Math, SoftplusAndSigmoidKeepTheDigitsOfTheirLeftTail) {
  for (int i = 0; i < 244; ++i) {
    const float x = -60 + static_cast<float>(i) * 0.37F;  // to 30
    const double e = std::exp(static_cast<double>(x));
    const double softplus = std::log1p(e);
    EXPECT_LE(std::fabs(double{map("softplus", {x})[0]} - softplus), 4 * unit_of(softplus)) << x;
    EXPECT_LE(std::fabs(double{map("sigmoid", {x})[0]} - e / (1 + e)), 4 * unit_of(e / (1 + e)))
        << x;
  }
}

}  // namespace
}  // namespace calm::reference_test
