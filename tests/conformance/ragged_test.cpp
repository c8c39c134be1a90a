// What rows may know of each other: nothing of dead rows, nothing of other sequences.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ops/table.hpp"
#include "tests/conformance/examples.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(RaggedBatches);

using Rows = std::pair<std::size_t, std::size_t>;  // [begin, end)

std::uint32_t traits_of(const std::string &op) { return ops::find_operator(op, 1)->traits; }

bool is_rows(const Array &array, std::size_t rows) {
  return array.present && !array.shape.empty() && array.axis0 == CALM_AXIS_TOKENS &&
         static_cast<std::size_t>(array.shape[0]) == rows;
}

std::size_t rows_of(const Case &c) {
  for (const Array &in : c.ins) {
    if (in.present && in.axis0 == CALM_AXIS_TOKENS) {
      return static_cast<std::size_t>(in.shape[0]);
    }
  }
  return 0;
}

const Array *offsets_of(const Case &c) {
  for (const Array &in : c.ins) {
    if (in.present && in.dtype == CALM_I32 && in.shape.size() == 1 &&
        in.axis0 != CALM_AXIS_TOKENS) {
      return &in;
    }
  }
  return nullptr;
}

// Other finite values in these rows of every operand that has rows: large ones of either sign,
// other ids. Operands that are zero there stay so: gradients of dead rows, which are zero by
// contract.
Case garbled(Case c, Rows which) {
  const std::size_t rows = rows_of(c);
  for (Array &in : c.ins) {
    if (rows == 0 || !is_rows(in, rows)) {
      continue;
    }
    const std::size_t width = in.values.size() / rows;
    for (std::size_t i = which.first * width; i < which.second * width; ++i) {
      double &x = in.values[i];
      if (in.dtype == kReal) {
        x *= i % 3 == 0 ? -30 : 20;
      } else if (x >= 0) {
        x = x > 0 ? x - 1 : x + 1;
      }
    }
  }
  return c;
}

// Positive operands, step sizes among them, stay positive.
void keep_sign(Case &c, const Case &original) {
  for (std::size_t k = 0; k < c.ins.size(); ++k) {
    const std::vector<double> &was = original.ins[k].values;
    if (std::all_of(was.begin(), was.end(), [](double x) { return x > 0; })) {
      for (double &x : c.ins[k].values) {
        x = std::fabs(x);
      }
    }
  }
}

bool same(double a, double b) { return a == b && std::signbit(a) == std::signbit(b); }

void expect_same_rows(const Array &a, const Array &b, Rows which, const std::string &what) {
  const std::size_t width = a.values.size() / static_cast<std::size_t>(a.shape[0]);
  for (std::size_t i = which.first * width; i < which.second * width; ++i) {
    ASSERT_TRUE(same(a.values[i], b.values[i])) << what << ": row " << i / width << " changed from "
                                                << a.values[i] << " to " << b.values[i];
  }
}

// Operand `zeroed` of operators that sum over rows is a gradient: zero in dead rows.
const std::map<std::string, std::size_t> kSummed = {
    {"embedding_grad", 1}, {"layer_norm_grad", 4}, {"matmul", 1}};

// The example as a training step uses it: its last rows dead, without targets, without gradient.
// Nothing for operators that have no rows.
std::optional<Case> with_dead_rows(Case c, std::size_t live) {
  const std::size_t rows = rows_of(c);
  const auto summed = kSummed.find(c.op);
  const bool reduces = (traits_of(c.op) & CALM_OP_REDUCES_ROWS) != 0;
  if (rows == 0 ||
      (reduces && summed == kSummed.end() && offsets_of(c) == nullptr && c.op != "cross_entropy")) {
    return std::nullopt;
  }
  for (std::size_t k = 0; k < c.ins.size(); ++k) {
    Array &in = c.ins[k];
    const bool target = c.op.starts_with("cross_entropy") && k == 1;
    const bool gradient = c.op.ends_with("_grad") && k + 1 == c.ins.size();
    const bool product = c.op == "matmul" && k == 1;
    if (is_rows(in, rows) && (target || gradient || product)) {
      const std::size_t width = in.values.size() / rows;
      std::fill(in.values.begin() + static_cast<std::ptrdiff_t>(live * width), in.values.end(),
                target ? -1.0 : 0.0);
    }
  }
  return c;
}

TEST_P(RaggedBatches, DeadRowsHoldingAnythingChangeNothing) {
  std::size_t tested = 0;
  for (const Case &example : examples()) {
    const std::size_t rows = rows_of(example);
    const Array *offsets = offsets_of(example);
    const std::size_t live = offsets != nullptr ? static_cast<std::size_t>(offsets->values.back())
                                                : rows - std::min<std::size_t>(rows, 23);
    const std::optional<Case> base = with_dead_rows(example, live);
    if (!base) {
      continue;
    }
    SCOPED_TRACE(describe_case(*base));
    ++tested;
    Case other = garbled(*base, {live, rows});
    keep_sign(other, *base);
    const std::vector<Array> want = run(device(), *base);
    const std::vector<Array> got = run(device(), other);
    for (std::size_t k = 0; k < want.size(); ++k) {
      const std::string what = "output " + std::to_string(k);
      if (is_rows(want[k], rows)) {
        expect_same_rows(want[k], got[k], {0, live}, what);
        const bool zero = offsets != nullptr || base->op.ends_with("_grad");
        const std::size_t width = want[k].values.size() / rows;
        for (std::size_t i = live * width; i < rows * width; ++i) {
          ASSERT_TRUE(std::isfinite(got[k].values[i])) << what << " of a dead row";
          ASSERT_TRUE(!zero || got[k].values[i] == 0)
              << what << ": expected 0 in dead row " << i / width << ", found " << got[k].values[i];
        }
      } else if (want[k].axis0 == CALM_AXIS_CHUNKS) {
        expect_same_rows(want[k], got[k], {0, (live + 63) / 64}, what);
      } else {
        const auto all = want[k].shape.empty() ? 1u : static_cast<std::size_t>(want[k].shape[0]);
        if (!want[k].shape.empty()) {
          expect_same_rows(want[k], got[k], {0, all}, what);
        } else {
          ASSERT_TRUE(same(want[k].values[0], got[k].values[0])) << what;
        }
      }
    }
  }
  EXPECT_GE(tested, 30u);
}

// Every use of a sequence operator on a batch.
std::vector<Case> sequence_cases(const Ragged &batch) {
  constexpr std::int64_t kWidth = 5;
  constexpr std::int64_t kStates = 3;
  const auto rows = [&](std::uint64_t seed, std::int64_t width) {
    return tokens(draw(seed, {batch.rows(), width}));
  };
  const auto per_sequence = [&](std::uint64_t seed, Shape shape) {
    shape.insert(shape.begin(), batch.sequences());
    Array out = draw(seed, shape);
    out.axis0 = CALM_AXIS_SEQUENCES;
    return out;
  };
  const Array filter = draw(2, {kWidth, 4});
  const Case scan{"selective_scan",
                  {rows(1, kWidth), tokens(draw(2, {batch.rows(), kWidth}, 0.01, 1)),
                   draw(3, {kWidth, kStates}, -3, -0.1), rows(4, kStates), rows(5, kStates),
                   draw(6, {kWidth}), batch.offsets(), per_sequence(7, {kWidth, kStates})}};
  Case scan_grad = scan;
  scan_grad.op = "selective_scan_grad";
  scan_grad.ins[7] = draw(8, {(batch.rows() + 63) / 64, kWidth, kStates});
  scan_grad.ins[7].axis0 = CALM_AXIS_CHUNKS;
  scan_grad.ins.push_back(draw_grad(9, batch, kWidth));
  return {{"causal_conv_silu",
           {rows(1, kWidth), filter, batch.offsets(), per_sequence(3, {kWidth, 4})}},
          {"causal_conv_silu_grad",
           {rows(1, kWidth), filter, batch.offsets(), draw_grad(3, batch, kWidth)}},
          scan,
          scan_grad,
          {"pool", {rows(1, kWidth), batch.offsets()}, {value("mode", 0)}},
          {"pool", {rows(1, kWidth), batch.offsets()}, {value("mode", 1)}},
          {"pool_grad",
           {rows(1, kWidth), batch.offsets(), per_sequence(2, {kWidth})},
           {value("mode", 0)}}};
}

// Outputs of rows and of sequences; sums over all of them (gradients of weights) are not compared.
TEST_P(RaggedBatches, ASequenceKnowsNothingOfTheOthers) {
  std::vector<Ragged> batches = awkward_batches();
  batches.push_back({{0, 1, 0, 2, 0}, 4});
  batches.push_back({{1, 64, 0}, 0});
  for (const Ragged &batch : batches) {
    for (const Case &c : sequence_cases(batch)) {
      const std::vector<Array> want = run(device(), c);
      const Array offsets = batch.offsets();
      for (std::size_t s = 0; s < static_cast<std::size_t>(batch.sequences()); ++s) {
        const Rows mine = sequence(offsets, s);
        if (mine.first == mine.second) {
          continue;
        }
        SCOPED_TRACE(describe_case(c) + ", sequence " + std::to_string(s) + " changed");
        Case other = garbled(c, mine);
        keep_sign(other, c);
        const std::vector<Array> got = run(device(), other);
        for (std::size_t k = 0; k < want.size(); ++k) {
          if (is_rows(want[k], static_cast<std::size_t>(batch.rows()))) {
            expect_same_rows(want[k], got[k], {0, mine.first}, "output");
            expect_same_rows(want[k], got[k], {mine.second, static_cast<std::size_t>(batch.rows())},
                             "output");
          } else if (want[k].axis0 == CALM_AXIS_SEQUENCES) {
            expect_same_rows(want[k], got[k], {0, s}, "state");
            expect_same_rows(want[k], got[k], {s + 1, static_cast<std::size_t>(batch.sequences())},
                             "state");
          }
        }
      }
    }
  }
}

// Empty sequences before, between and behind the others, and dead rows of any number: the live rows
// come out as they do alone.
TEST_P(RaggedBatches, EmptySequencesAndDeadRowsDoNotMoveTheOthers) {
  const Ragged plain{{1, 67, 4}};
  const Ragged padded{{0, 1, 0, 0, 67, 4, 0}, 56};
  const std::vector<std::size_t> place = {1, 4, 5};  // of plain's sequences in padded
  const std::vector<Case> few = sequence_cases(plain);
  std::vector<Case> many = sequence_cases(padded);
  for (std::size_t n = 0; n < few.size(); ++n) {
    if (few[n].op == "selective_scan_grad") {
      continue;  // its bounds are rows of 64 of the batch
    }
    SCOPED_TRACE(describe_case(many[n]));
    const auto live = static_cast<std::size_t>(plain.live());
    for (std::size_t k = 0; k < few[n].ins.size(); ++k) {
      const Array &from = few[n].ins[k];
      Array &to = many[n].ins[k];
      if (is_rows(from, live)) {
        std::copy(from.values.begin(), from.values.end(), to.values.begin());
      } else if (from.axis0 == CALM_AXIS_SEQUENCES) {
        const auto width = static_cast<std::ptrdiff_t>(from.values.size() / place.size());
        for (std::size_t s = 0; s < place.size(); ++s) {
          std::copy_n(from.values.begin() + static_cast<std::ptrdiff_t>(s) * width, width,
                      to.values.begin() + static_cast<std::ptrdiff_t>(place[s]) * width);
        }
      }
    }
    const std::vector<Array> want = run(device(), few[n]);
    const std::vector<Array> got = run(device(), many[n]);
    for (std::size_t k = 0; k < want.size(); ++k) {
      if (is_rows(want[k], live)) {
        expect_same_rows(want[k], got[k], {0, live}, "output");
      } else if (want[k].axis0 == CALM_AXIS_SEQUENCES) {
        const std::size_t width = want[k].values.size() / place.size();
        for (std::size_t i = 0; i < want[k].values.size(); ++i) {
          ASSERT_TRUE(same(want[k].values[i], got[k].values[place[i / width] * width + i % width]))
              << "sequence " << i / width;
        }
      }
    }
  }
}

}  // namespace
}  // namespace calm::conformance
