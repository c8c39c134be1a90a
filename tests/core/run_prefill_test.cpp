// Prefill that continues from a decode state: prefill(a + b) = prefill(a), then prefill(b) on what
// it left = steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include <cstdint>
#include <string>
#include <vector>

#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::run {
namespace {

using graph::Slot;
using Sequences = std::vector<std::vector<std::int32_t>>;

constexpr std::size_t kVocab = static_cast<std::size_t>(LanguageModel::kVocab);

// What a program leaves: the logits of every sequence's last row, of all rows, the decode state.
struct Read {
  std::vector<float> logits, all;
  std::vector<std::pair<std::string, std::vector<float>>> state;
};

class PrefillWithState : public testing::TestWithParam<model_test::Shape> {
 protected:
  PrefillWithState() : model_(model_test::make_model(GetParam())) {
    Weights weights(model_->layout());
    weights.initialise(3);
    weights_ = Buffer(*session_, weights.flat().size_bytes());
    weights.write_to(weights_);
    slot_of(shared_, Slot::kWeights) = &weights_;
  }

  Read read(const Stage &stage) const {
    Read out;
    stage.read("logits", out.logits);
    for (const graph::Binding &b : stage.program().program().bindings()) {
      if (b.slot == Slot::kState && b.name != "ids") {
        std::vector<float> values(b.bytes / sizeof(float));
        stage.state().read(b.offset, values.data(), b.bytes);
        out.state.emplace_back(b.name, std::move(values));
      }
    }
    return out;
  }

  // Reads the sequences after `before`, or from nothing.
  Read prefill(const Sequences &sequences, const Read *before = nullptr) {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> offsets = {0};
    std::int64_t longest = 1;
    for (const std::vector<std::int32_t> &s : sequences) {
      tokens.insert(tokens.end(), s.begin(), s.end());
      offsets.push_back(static_cast<std::int32_t>(tokens.size()));
      longest = std::max(longest, static_cast<std::int64_t>(s.size()));
    }
    const std::size_t live = tokens.size();
    tokens.resize(live + 3, 256);
    Stage stage(*session_,
                model_->prefill({static_cast<std::int64_t>(tokens.size()),
                                 static_cast<std::int64_t>(sequences.size()), longest},
                                true, before != nullptr),
                shared_);
    stage.write("tokens", tokens);
    stage.write("offsets", offsets);
    for (std::size_t i = 0; before != nullptr && i < before->state.size(); ++i) {
      const auto &[name, values] = before->state[i];
      const graph::Binding &to = stage.binding(Slot::kState, name);
      stage.state().write(to.offset, values.data(), to.bytes);
    }
    stage.run();
    Read out = read(stage);
    stage.read("all_logits", out.all);
    out.all.resize(live * kVocab);
    return out;
  }

  // One token of every sequence after `before`.
  Read step(const std::vector<std::int32_t> &ids, const Read &before) {
    Stage stage(*session_, model_->step(static_cast<std::int64_t>(ids.size())), shared_);
    for (const auto &[name, values] : before.state) {
      const graph::Binding &to = stage.binding(Slot::kState, name);
      stage.state().write(to.offset, values.data(), to.bytes);
    }
    const graph::Binding &to = stage.binding(Slot::kState, "ids");
    stage.state().write(to.offset, ids.data(), to.bytes);
    stage.run();
    return read(stage);
  }

  static void expect_near(const std::vector<float> &got, const std::vector<float> &want,
                          const std::string &what) {
    ASSERT_EQ(got.size(), want.size()) << what;
    for (std::size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 2e-5 + 1e-4 * std::abs(want[i])) << what << " " << i;
    }
  }
  static void expect_near(const Read &got, const Read &want, const std::string &what) {
    expect_near(got.logits, want.logits, what + ": logits");
    ASSERT_EQ(got.state.size(), want.state.size());
    ASSERT_FALSE(want.state.empty());
    for (std::size_t i = 0; i < want.state.size(); ++i) {
      ASSERT_EQ(got.state[i].first, want.state[i].first);
      expect_near(got.state[i].second, want.state[i].second, what + ": " + want.state[i].first);
    }
  }

  std::unique_ptr<Session> session_ = model_test::reference();
  std::unique_ptr<LanguageModel> model_;
  Buffer weights_;
  SlotBuffers shared_{};
};

INSTANTIATE_TEST_SUITE_P(, PrefillWithState, testing::Values(model_test::kPico, model_test::kOdd),
                         [](const auto &shape) {
                           return "width" + std::to_string(shape.param.d_model);
                         });

Sequences cut(const Sequences &whole, const std::vector<std::size_t> &at, bool tail) {
  Sequences out;
  for (std::size_t s = 0; s < whole.size(); ++s) {
    const auto middle = whole[s].begin() + static_cast<std::ptrdiff_t>(at[s]);
    out.emplace_back(tail ? middle : whole[s].begin(), tail ? whole[s].end() : middle);
  }
  return out;
}

TEST_P(PrefillWithState, TwoPartsEqualTheWholeWhereverItIsCut) {
  const Sequences whole = {model_test::tokens(37, 1)};
  const Read want = prefill(whole);
  for (const std::size_t at : {1u, 2u, 3u, 4u, 5u, 17u, 31u, 33u, 34u, 35u, 36u}) {
    const Read first = prefill(cut(whole, {at}, false));
    const Read second = prefill(cut(whole, {at}, true), &first);
    expect_near(second, want, "cut at " + std::to_string(at));
    std::vector<float> all = first.all;
    all.insert(all.end(), second.all.begin(), second.all.end());
    expect_near(all, want.all, "all rows, cut at " + std::to_string(at));
  }
}

TEST_P(PrefillWithState, SequencesOfABatchContinueEachItsOwn) {
  const Sequences whole = {model_test::tokens(9, 1), model_test::tokens(40, 2),
                           model_test::tokens(1, 3), model_test::tokens(23, 4)};
  const Read want = prefill(whole);
  for (const std::vector<std::size_t> &at : std::vector<std::vector<std::size_t>>{
           {1, 1, 1, 1}, {8, 39, 0, 22}, {3, 20, 0, 2}, {0, 0, 0, 0}, {6, 37, 1, 21}}) {
    const Read first = prefill(cut(whole, at, false));
    Read second = prefill(cut(whole, at, true), &first);
    for (std::size_t s = 0; s < whole.size(); ++s) {
      if (at[s] == whole[s].size()) {  // nothing was read of it: no logits, and its own state
        for (std::size_t v = 0; v < kVocab; ++v) {
          ASSERT_EQ(second.logits[s * kVocab + v], 0);
          second.logits[s * kVocab + v] = first.logits[s * kVocab + v];
        }
      }
    }
    expect_near(second, want, "cut at " + std::to_string(at[0]));
  }
}

TEST_P(PrefillWithState, ManyShortPiecesEqualTheWhole) {
  const Sequences whole = {model_test::tokens(20, 8), model_test::tokens(20, 9)};
  const Read want = prefill(whole);
  for (const std::size_t length : {1u, 2u, 3u, 7u}) {
    Read now = prefill(
        cut({{whole[0].begin(), whole[0].begin() + 1}, {whole[1].begin(), whole[1].begin() + 1}},
            {1, 1}, false));
    for (std::size_t at = 1; at < 20; at += length) {
      const auto end = static_cast<std::ptrdiff_t>(std::min<std::size_t>(20, at + length));
      const auto begin = static_cast<std::ptrdiff_t>(at);
      now = prefill({{whole[0].begin() + begin, whole[0].begin() + end},
                     {whole[1].begin() + begin, whole[1].begin() + end}},
                    &now);
    }
    expect_near(now, want, "pieces of " + std::to_string(length));
  }
}

TEST_P(PrefillWithState, StepsGoTheSameWay) {
  const Sequences whole = {model_test::tokens(18, 5), model_test::tokens(18, 6),
                           model_test::tokens(18, 7)};
  const std::vector<std::size_t> at = {5, 5, 5};
  const Read start = prefill(cut(whole, at, false));
  Read stepped = start;
  for (std::size_t t = 5; t < 18; ++t) {
    stepped = step({whole[0][t], whole[1][t], whole[2][t]}, stepped);
  }
  expect_near(prefill(cut(whole, at, true), &start), stepped, "after 13 tokens");
  expect_near(prefill(whole), stepped, "at once");
}

TEST_P(PrefillWithState, AZeroStateIsTheBeginning) {
  const Sequences whole = {model_test::tokens(11, 2)};
  const Read want = prefill(whole);
  Read zero = want;
  for (auto &[name, values] : zero.state) {
    std::fill(values.begin(), values.end(), 0.0F);
  }
  expect_near(prefill(whole, &zero), want, "from zero");
}

}  // namespace
}  // namespace calm::run
