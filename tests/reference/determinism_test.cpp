#include <random>

#include "tests/reference/harness.hpp"

namespace calm::reference_test {
namespace {

constexpr std::int64_t kRows = 900;
constexpr std::int64_t kChannels = 40;
constexpr std::int64_t kStates = 16;
constexpr std::int64_t kSequences = 40;

std::size_t size_of(const Program &program, std::uint32_t tensor) {
  return static_cast<std::size_t>(elements(program.tensors[tensor].type));
}

/// Every kernel that sums over rows or sequences, on sizes that are worth sharing out.
struct Sums {
  Program p;
  std::vector<std::uint32_t> reals, outs;
  std::uint32_t delta, a, offsets, ids;

  std::uint32_t in(std::initializer_list<std::int64_t> shape) {
    reals.push_back(p.tensor(CALM_F32, shape));
    return reals.back();
  }
  std::uint32_t out(std::initializer_list<std::int64_t> shape) {
    outs.push_back(p.tensor(CALM_F32, shape, CALM_ROLE_OUTPUT));
    return outs.back();
  }

  Sums() {
    const auto x = in({kRows, kChannels});
    const auto grad = in({kRows, kChannels});
    const auto b = in({kRows, kStates});
    const auto c = in({kRows, kStates});
    const auto d = in({kChannels});
    const auto taps = in({kChannels, 4});
    delta = p.tensor(CALM_F32, {kRows, kChannels});
    a = p.tensor(CALM_F32, {kChannels, kStates});
    offsets = p.tensor(CALM_I32, {kSequences + 1});
    ids = p.tensor(CALM_I32, {kRows});
    const auto y = out({kRows, kChannels});
    const auto bounds = out({(kRows + 63) / 64, kChannels, kStates});
    p.node("selective_scan", {x, delta, a, b, c, d, offsets}, {y, bounds});
    p.node("selective_scan_grad", {x, delta, a, b, c, d, offsets, bounds, grad},
           {out({kRows, kChannels}), out({kRows, kChannels}), out({kChannels, kStates}),
            out({kRows, kStates}), out({kRows, kStates}), out({kChannels})});
    p.node("causal_conv_silu_grad", {x, taps, offsets, grad},
           {out({kRows, kChannels}), out({kChannels, 4})});
    p.node("matmul", {x, grad}, {out({kChannels, kChannels})},
           {value("transpose_a", true), value("transpose_b", false)});
    const auto mean = out({kRows});
    const auto rstd = out({kRows});
    p.node("layer_norm", {x, d, d}, {out({kRows, kChannels}), mean, rstd}, {value("eps", 1e-5)});
    p.node("layer_norm_grad", {x, d, mean, rstd, grad},
           {out({kRows, kChannels}), out({kChannels}), out({kChannels})});
    p.node("embedding_grad", {ids, grad}, {out({7, kChannels})}, {value("rows", 7)});
    p.node("sum", {x}, {out({kChannels})}, {value("axis", 0)});
    p.node("sum", {x}, {out({})}, {value("axis", -1)});
    p.node("cross_entropy", {x, ids}, {out({}), out({kRows})});
    p.node("global_norm", {x, grad}, {out({}), out({}), CALM_NONE}, {value("max_norm", 1.0)});
  }

  std::vector<std::vector<float>> run(std::uint32_t threads) const {
    const TestSession session(threads);
    Compiled compiled(session, p);
    std::mt19937 random(3);
    const auto fill = [&](std::uint32_t tensor, float low, float high) {
      std::uniform_real_distribution<float> draw(low, high);
      std::vector<float> values(size_of(p, tensor));
      for (float &v : values) {
        v = draw(random);
      }
      compiled.set(tensor, values);
    };
    for (const std::uint32_t tensor : reals) {
      fill(tensor, -1, 1);
    }
    fill(delta, 0.001F, 0.1F);
    fill(a, -16, -1);
    std::vector<std::int32_t> starts = {0};
    for (std::int32_t i = 1; i <= kSequences; ++i) {
      starts.push_back(starts.back() + i % 5 * 11);  // empty ones too; dead rows at the end
    }
    compiled.set(offsets, starts);
    std::vector<std::int32_t> rows(kRows);
    for (std::int32_t &id : rows) {
      id = static_cast<std::int32_t>(random() % 7);
    }
    compiled.set(ids, rows);
    compiled.run();
    std::vector<std::vector<float>> results;
    for (const std::uint32_t tensor : outs) {
      results.push_back(compiled.get<float>(tensor));
    }
    return results;
  }
};

TEST(Determinism, OneTwoAndFiveThreadsGiveTheSameBits) {
  const Sums sums;
  const auto one = sums.run(1);
  EXPECT_EQ(sums.run(2), one);
  EXPECT_EQ(sums.run(5), one);
}

}  // namespace
}  // namespace calm::reference_test
