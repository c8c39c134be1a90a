// Packed weights and what is computed of weights alone are as old as the weights, never older.
#include <bit>
#include <cmath>

#include "tests/conformance/case.hpp"
#include "tests/conformance/encode.hpp"
#include "tests/onednn/machine.hpp"

namespace calm::onednn_test {
namespace {

using graph::Slot;

/// A model on a session, with a loss to look at.
struct Model {
  std::unique_ptr<run::LanguageModel> model = model_test::make_model(model_test::kNano);
  train::Stages stages;

  explicit Model(run::Session &session) : stages(session, *model, model_test::next_token(), {}) {}
  std::vector<float> logits() { return stages.forward(many_rows(), false).logits; }
};

/// Of a session that never saw others.
std::vector<float> fresh_logits(const run::Weights &weights) {
  Machine machine;
  Model model(machine.session());
  model.stages.upload(weights);
  return model.logits();
}

TEST(OnednnWeights, WrittenByTheHostAreSeenByTheNextRun) {
  Machine machine;
  Model model(machine.session());
  for (const std::uint64_t seed : {1U, 2U, 1U}) {
    const run::Weights weights = weights_of(*model.model, seed);
    model.stages.upload(weights);
    EXPECT_EQ(model.logits(), fresh_logits(weights)) << seed;
  }
}

TEST(OnednnWeights, CopiedFromAnotherBufferAreSeenByTheNextRun) {
  Machine machine;
  Model model(machine.session());
  model.stages.upload(weights_of(*model.model, 1));
  model.logits();
  const run::Weights weights = weights_of(*model.model, 2);
  run::Buffer other(machine.session(), model.stages.weights().bytes());
  weights.write_to(other);
  model.stages.weights().copy_from(0, other, 0, other.bytes());
  EXPECT_EQ(model.logits(), fresh_logits(weights));
}

TEST(OnednnWeights, UpdatedByAnotherProgramAreSeenByTheNextRun) {
  Machine machine;
  Model model(machine.session());
  run::Weights weights = weights_of(*model.model, 1);
  model.stages.upload(weights);
  std::vector<float> before = model.logits();
  for (std::uint64_t t = 1; t <= 3; ++t) {
    train::Stages::MicroBatch step;
    step.lr = 1e-2;
    step.t = t;
    model.stages.train(many_rows(), step);
    model.stages.download(weights);
    const std::vector<float> after = model.logits();
    EXPECT_NE(after, before) << t;
    EXPECT_EQ(after, fresh_logits(weights)) << t;
    before = after;
  }
}

TEST(OnednnWeights, OfAFreedBufferAreForgotten) {
  Machine machine;
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    Model model(machine.session());  // its buffers most likely where the last ones were
    const run::Weights weights = weights_of(*model.model, seed);
    model.stages.upload(weights);
    EXPECT_EQ(model.logits(), fresh_logits(weights)) << seed;
  }
}

TEST(OnednnWeights, ProgramsStillRunAfterALargerOneWasCompiled) {
  Machine machine;
  Model model(machine.session());
  model.stages.upload(weights_of(*model.model, 1));
  const data::Batch small = batch_of({5, 9});
  const std::vector<float> first = model.stages.forward(small, true).logits;
  for (const std::size_t length : {40U, 200U, 600U}) {
    model.stages.forward(batch_of({length, length, 3}), true);
    EXPECT_EQ(model.stages.forward(small, true).logits, first) << length;
  }
}

/// Stored the other way round.
conformance::Array turned(const conformance::Array &w) {
  const std::int64_t rows = w.shape[0], columns = w.shape[1];
  conformance::Array other{w.dtype, {columns, rows}, w.values};
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    other.values[static_cast<std::size_t>(i % columns * rows + i / columns)] =
        w.values[static_cast<std::size_t>(i)];
  }
  return other;
}

enum class Finish { kNone, kAdd, kGelu, kSoftplus };

/// x by a parameter, stored either way round, and what a product may be merged with.
struct Product {
  static constexpr std::int64_t kDepth = 90, kColumns = 75;
  std::int64_t rows, columns;
  graph::ParamLayout layout;
  graph::Graph graph;

  explicit Product(bool transposed, std::int64_t n = 7, Finish finish = Finish::kNone,
                   std::int64_t width = kColumns)
      : rows(n),
        columns(width),
        graph("product", {n, 1, n}, CALM_F32, layout, model_test::runtime().operators()) {
    calm_param param{};
    param.size = sizeof param;
    param.name = str("w");
    param.type =
        transposed ? type_of(CALM_F32, {columns, kDepth}) : type_of(CALM_F32, {kDepth, columns});
    const graph::GraphBuilder builder(graph);
    const Builder b = builder.face();
    const Value x = graph.input("x", type_of(CALM_F32, {rows, kDepth}, CALM_AXIS_TOKENS));
    const Value more =
        b.op("broadcast",
             {b.op("sum", {x}, {value("axis", 1)}),
              graph.input("like", type_of(CALM_F32, {rows, columns}, CALM_AXIS_TOKENS))},
             {value("axis", 1)});
    Value y = b.op("matmul", {x, b.param(param)}, {value("transpose_b", transposed)});
    if (finish == Finish::kAdd) {
      y = b.op("add", {y, more});
    } else if (finish == Finish::kGelu) {
      y = b.op("gelu", {y});
    } else if (finish == Finish::kSoftplus) {
      const std::vector<float> bias(static_cast<std::size_t>(columns), 0.3F);
      y = b.op("softplus",
               {b.op("add", {y, b.constant(type_of(CALM_F32, {columns}), bias.data())})});
    }
    graph.output("y", y);
    layout.freeze();
    graph.eliminate_dead_code();
  }

  std::vector<double> multiply(std::string_view options, const conformance::Array &x,
                               const conformance::Array &w) const {
    Machine machine(2, options);
    const std::vector<unsigned char> bytes = conformance::encode(CALM_F32, w.values);
    run::Buffer weights(machine.session(), layout.elements() * sizeof(float));
    weights.write(0, bytes.data(), bytes.size());
    run::SlotBuffers shared{};
    run::slot_of(shared, Slot::kWeights) = &weights;
    run::Stage stage(machine.session(), graph, shared);
    stage.write("x", conformance::encode(CALM_F32, x.values));
    stage.run();
    std::vector<float> y;
    stage.read("y", y);
    return {y.begin(), y.end()};
  }
};

/// Weights of very different columns.
conformance::Array uneven_weights(std::int64_t columns = Product::kColumns) {
  conformance::Array w = conformance::draw(2, {Product::kDepth, columns});
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    const auto column = static_cast<int>(i % static_cast<std::size_t>(columns));
    w.values[i] *= std::ldexp(1.003, column % 9 - 4);
    w.values[i] = static_cast<double>(static_cast<float>(w.values[i]));
  }
  return w;
}

/// What bf16 keeps of w (pack.hpp): of every two rows the first rounded, of the second the nearest
/// floats whose lower halves are the first's bits.
conformance::Array in_shared_words(const conformance::Array &w) {
  const auto columns = static_cast<std::size_t>(w.shape[1]);
  conformance::Array kept = w;
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    const auto value = static_cast<float>(w.values[i]);
    if (i / columns % 2 == 0) {
      kept.values[i] = static_cast<double>(conformance::from_bf16(conformance::to_bf16(value)));
      continue;
    }
    const std::uint32_t low = conformance::to_bf16(static_cast<float>(w.values[i - columns]));
    const std::uint32_t upper = std::bit_cast<std::uint32_t>(value) >> 16;
    double nearest = INFINITY;
    for (std::uint32_t half = upper == 0 ? 0 : upper - 1; half <= upper + 1; ++half) {
      const auto float_of = static_cast<double>(std::bit_cast<float>(half << 16 | low));
      if (std::fabs(float_of - w.values[i]) < std::fabs(nearest - w.values[i])) {
        nearest = float_of;
      }
    }
    kept.values[i] = nearest;
  }
  return kept;
}

TEST(OnednnWeights, AsBf16AreOffByHalfAStepAtMost) {
  const conformance::Array x = conformance::draw(1, {7, Product::kDepth});
  conformance::Array w = uneven_weights();
  for (std::size_t row = 3; row < 6; ++row) {  // zeros above and below other weights
    w.values[row * Product::kColumns + row] = 0;
  }
  const conformance::Array kept = in_shared_words(w);
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    ASSERT_LE(std::fabs(kept.values[i] - w.values[i]), std::fabs(w.values[i]) * 0x1p-8 + 1e-37)
        << i;
  }
  for (const bool transposed : {false, true}) {
    const Product product(transposed);
    const auto stored = [transposed](const conformance::Array &matrix) {
      return transposed ? turned(matrix) : matrix;
    };
    const std::vector<double> got = product.multiply("weights=bf16", x, stored(w));
    EXPECT_EQ(got, product.multiply("weights=fp32", x, stored(kept)));
    EXPECT_NE(got, product.multiply("weights=fp32", x, stored(w)));
  }
}

TEST(OnednnWeights, AsInt8AreOffByHalfAStepOfTheirColumn) {
  const conformance::Array x = conformance::draw(1, {7, Product::kDepth});
  const conformance::Array w = uneven_weights();
  std::vector<double> steps(Product::kColumns, 0);
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    const std::size_t n = i % Product::kColumns;
    steps[n] = std::fmax(steps[n], std::fabs(w.values[i]) / 127);
  }
  for (const bool transposed : {false, true}) {
    const Product product(transposed);
    const conformance::Array stored = transposed ? turned(w) : w;
    const std::vector<double> exact = product.multiply("", x, stored);
    const std::vector<double> got = product.multiply("weights=int8", x, stored);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < Product::kDepth; ++k) {
        sum += std::fabs(x.values[i / Product::kColumns * Product::kDepth + k]);
      }
      // Half a step a weight, and some roundings of fp32.
      ASSERT_LE(std::fabs(got[i] - exact[i]), 0.5001 * steps[i % Product::kColumns] * sum) << i;
    }
    EXPECT_NE(got, exact);
  }
}

TEST(OnednnWeights, ThatAreNotFiniteAreSeenInEveryKind) {
  const Product product(false);
  const conformance::Array x = conformance::draw(1, {7, Product::kDepth}, 1, 2);
  for (const double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    conformance::Array w = uneven_weights();
    w.values[5 * Product::kColumns + 70] = bad;
    for (const char *options : {"weights=fp32", "weights=bf16", "weights=int8"}) {
      const std::vector<double> y = product.multiply(options, x, w);
      EXPECT_FALSE(std::isfinite(y[70])) << options << " " << bad;
      EXPECT_TRUE(std::isfinite(y[69])) << options << " " << bad;
    }
  }
}

TEST(OnednnWeights, GiveARowTheSameBitsAloneAndAmongOthers) {
  constexpr std::int64_t kRows = 71;
  const conformance::Array x = conformance::draw(3, {kRows, Product::kDepth});
  const auto check = [&x](std::int64_t columns, Finish finish) {
    const conformance::Array w = uneven_weights(columns);
    const Product all(false, kRows, finish, columns);
    const Product one(false, 1, finish, columns);
    for (const char *options : {"weights=fp32", "weights=bf16", "weights=int8"}) {
      const std::vector<double> together = all.multiply(options, x, w);
      for (const std::int64_t row : {0, 5, 6, 63, 64, 66, 70}) {
        const auto begin = x.values.begin() + row * Product::kDepth;
        const conformance::Array own{
            x.dtype, {1, Product::kDepth}, {begin, begin + Product::kDepth}};
        const auto at = together.begin() + row * columns;
        EXPECT_EQ(one.multiply(options, own, w), std::vector<double>(at, at + columns))
            << options << ", row " << row << ", columns " << columns << ", finish "
            << static_cast<int>(finish);
      }
    }
  };
  for (const Finish finish : {Finish::kNone, Finish::kAdd, Finish::kGelu, Finish::kSoftplus}) {
    check(Product::kColumns, finish);
  }
  // Panels that are whole, nearly whole, and one, two or three vectors wide, alone or behind
  // another, and more than fit one of bf16's.
  for (const std::int64_t columns : {3, 36, 61, 64, 84, 104, 128, 145, 270, 320}) {
    check(columns, Finish::kAdd);
  }
}

/// Whole models: a relative error of a weight goes through some dozen products.
TEST(OnednnWeights, OfFewerBitsGiveNearlyTheSameLogits) {
  const auto model = model_test::make_model(model_test::kNano);
  const run::Weights weights = weights_of(*model, 1);
  const std::vector<float> exact = fresh_logits(weights);
  double most = 0;
  for (const float x : exact) {
    most = std::max(most, std::abs(static_cast<double>(x)));
  }
  // Roundings of 2^-9 of a weight, and of half of 1/127 of the largest of a column; independent of
  // each other, so sums of them stay below that of the largest logit, times the products in a row.
  const std::pair<const char *, double> kinds[] = {{"weights=bf16", 0x1p-9},
                                                   {"weights=int8", 0.5 / 127}};
  for (const auto &[options, rounding] : kinds) {
    Machine machine(2, options);
    Model other(machine.session());
    other.stages.upload(weights);
    const std::vector<float> got = other.logits();
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      worst =
          std::max(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(exact[i])));
    }
    EXPECT_LT(worst, 16 * rounding * most) << options;
    EXPECT_GT(worst, 0) << options;
  }
}

}  // namespace
}  // namespace calm::onednn_test
