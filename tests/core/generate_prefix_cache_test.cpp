#include "core/generate/prefix_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"

namespace calm::generate {
namespace {

using Ids = std::vector<text::Token>;

constexpr model_test::Shape kLong = {16, 2, 300, 2, 2, 4, 3, 2};  // kOdd's 50 tokens are few

class Cache : public testing::Test {
 protected:
  Cache() {
    loaded_.model = model_test::make_model(kLong);
    loaded_.weights = std::make_unique<run::Weights>(loaded_.model->layout());
    loaded_.weights->initialise(9);
    generator_ = std::make_unique<Generator>(loaded_, *session_);
    oracle_ = std::make_unique<Generator>(loaded_, *session_);
  }

  // Tokens that reading `text` costs; what is read must be what is read at once.
  std::uint64_t cost(PrefixCache &cache, const Ids &text) {
    const std::uint64_t before = generator_->tokens_read();
    const Prefix &got = cache.read(text);
    const std::uint64_t count = generator_->tokens_read() - before;
    const Prefix want = oracle_->read(text);
    EXPECT_EQ(got.length(), want.length());
    const std::vector<float> a = generator_->logits(got);
    const std::vector<float> b = oracle_->logits(want);
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (std::abs(a[i] - b[i]) > 1e-5F) {
        ADD_FAILURE() << "logit " << i << " of a text of " << text.size() << ": " << a[i] << " for "
                      << b[i];
        break;
      }
    }
    return count;
  }

  void expect_same_text(PrefixCache &cache, const Ids &text) {
    Sampling greedy;
    greedy.temperature = 0;
    greedy.max_tokens = 12;
    EXPECT_EQ(generator_->generate(cache.read(text), 1, greedy, {})[0].ids,
              oracle_->generate(text, 1, greedy, {})[0].ids)
        << "after " << text.size() << " tokens";
  }

  std::unique_ptr<run::Session> session_ = model_test::reference();
  run::LoadedModel loaded_;
  std::unique_ptr<Generator> generator_, oracle_;
};

TEST_F(Cache, AKeyTypedCostsOneTokenAndAKeyDeletedNone) {
  PrefixCache cache(*generator_);
  Ids text = model_test::tokens(100, 1);
  EXPECT_EQ(cost(cache, text), 100u);
  for (int i = 0; i < 20; ++i) {
    text.push_back(i);
    EXPECT_EQ(cost(cache, text), 1u);
  }
  for (int i = 0; i < 20; ++i) {
    text.pop_back();
    EXPECT_EQ(cost(cache, text), 0u);
  }
  // The same again, as a word taken back and typed anew.
  for (int i = 0; i < 20; ++i) {
    text.push_back(i);
    EXPECT_EQ(cost(cache, text), 0u);
  }
  text.resize(110);
  text.push_back(200);  // another key than before
  EXPECT_EQ(cost(cache, text), 1u);
}

TEST_F(Cache, AWordPastedCostsItsTokens) {
  PrefixCache cache(*generator_);
  Ids text = model_test::tokens(64, 1);
  cost(cache, text);
  const Ids word = model_test::tokens(9, 2);
  text.insert(text.end(), word.begin(), word.end());
  EXPECT_EQ(cost(cache, text), 9u);
  text.resize(64);
  EXPECT_EQ(cost(cache, text), 0u);
}

TEST_F(Cache, APastedTextDeletedKeyByKeyIsNotReadAnewForEach) {
  PrefixCache cache(*generator_);
  Ids text = model_test::tokens(256, 3);
  EXPECT_EQ(cost(cache, text), 256u);
  std::uint64_t most = 0;
  std::uint64_t total = 0;
  while (text.size() > 1) {
    text.pop_back();
    const std::uint64_t count = cost(cache, text);
    most = std::max(most, count);
    total += count;
  }
  EXPECT_LT(most, 128u);
  EXPECT_LT(total, 256u * 4u);  // reading anew: 256 * 128
}

TEST_F(Cache, TextsThatShareABeginningShareItsState) {
  PrefixCache cache(*generator_);
  const Ids context = model_test::tokens(128, 4);
  cost(cache, context);
  for (std::uint32_t line = 0; line < 5; ++line) {
    Ids text = context;
    const Ids typed = model_test::tokens(7, 100 + line);
    text.insert(text.end(), typed.begin(), typed.end());
    EXPECT_EQ(cost(cache, text), 7u);
  }
}

TEST_F(Cache, RandomEditsGiveWhatReadingAtOnceGives) {
  for (const PrefixLimits limits : {PrefixLimits{}, PrefixLimits{6, 1u << 30}}) {
    PrefixCache cache(*generator_, limits);
    std::mt19937 random(limits.states);  // NOLINT(bugprone-random-generator-seed): the same always
    const auto below = [&random](std::size_t n) { return random() % n; };
    Ids text = model_test::tokens(40, 5);
    std::uint64_t read = 0;
    std::uint64_t anew = 0;
    for (int edit = 0; edit < 250; ++edit) {
      switch (below(8)) {
        case 0: {  // a word
          const Ids word = model_test::tokens(1 + below(12), static_cast<std::uint32_t>(edit));
          text.insert(text.end(), word.begin(), word.end());
          break;
        }
        case 1:  // a word back
          text.resize(text.size() - below(std::min<std::size_t>(text.size(), 12)));
          break;
        case 2:  // another byte in the midst, now and then
          if (below(8) == 0) {
            text[below(text.size())] = static_cast<text::Token>(below(256));
          }
          break;
        case 3:
        case 4:
          text.resize(text.size() - (text.size() > 1 ? 1 : 0));
          break;
        default:
          text.push_back(static_cast<text::Token>(below(256)));
      }
      text.resize(std::min<std::size_t>(text.size(), 290));
      const std::uint64_t count = cost(cache, text);
      EXPECT_LE(count, text.size());
      read += count;
      anew += text.size();
      EXPECT_LE(cache.states(), limits.states);
      EXPECT_LE(cache.bytes(), limits.bytes);
      if (edit % 25 == 0) {
        expect_same_text(cache, text);
      }
    }
    EXPECT_LT(read * 5, anew) << limits.states << " states";
  }
}

TEST_F(Cache, KeepsToItsLimits) {
  PrefixCache one(*generator_);
  one.read(Ids{1});
  const std::uint64_t each = one.bytes();
  for (const PrefixLimits limits :
       {PrefixLimits{1, 1u << 30}, PrefixLimits{4, 1u << 30}, PrefixLimits{64, each * 3 + 1}}) {
    PrefixCache cache(*generator_, limits);
    Ids text = {1};
    for (int i = 0; i < 40; ++i) {
      text.push_back(i);
      EXPECT_EQ(cost(cache, text), i == 0 ? 2u : 1u);  // typing goes on whatever is given up
      EXPECT_LE(cache.states(), std::max<std::size_t>(limits.states, 2));
      EXPECT_LE(cache.bytes(), std::max(limits.bytes, each * 2));
    }
    // What is left covers the text: going back to nowhere costs all of it.
    text.resize(30);
    EXPECT_LE(cost(cache, text), 30u);
  }
}

TEST_F(Cache, ALongLineLeavesTheStatesBeforeIt) {
  PrefixCache cache(*generator_, {16, 1u << 30});
  const Ids context = model_test::tokens(128, 6);
  cost(cache, context);
  Ids text = context;
  for (int i = 0; i < 60; ++i) {
    text.push_back(i);
    EXPECT_EQ(cost(cache, text), 1u);
  }
  EXPECT_EQ(cost(cache, context), 0u);  // the line was cleared
}

TEST_F(Cache, OfATextLongerThanTheModelReadsItSeesTheEnd) {
  PrefixCache cache(*generator_);
  Ids text = model_test::tokens(290, 7);
  for (int i = 0; i < 20; ++i) {  // l_max is 300
    text.push_back(i);
    cost(cache, text);
    EXPECT_EQ(cache.read(text).length(), static_cast<std::int64_t>(text.size()));
  }
  EXPECT_EQ(generator_->generate(cache.read(text), 1, {}, {})[0].stop, StopReason::kLMax);
  text.resize(295);
  EXPECT_EQ(cost(cache, text), 0u);
  // The window as a text of its own is another length.
  const Ids window(text.begin(), text.end());
  EXPECT_EQ(cache.read(window).length(), 295);
}

TEST_F(Cache, RefusesWhatTheGeneratorRefusesAndGoesOn) {
  PrefixCache cache(*generator_);
  cost(cache, {1, 2, 3});
  for (const Ids &bad : {Ids{}, Ids{1, 2, 3, 320}, Ids{-1}}) {
    EXPECT_THROW(cache.read(bad), Error);
  }
  EXPECT_EQ(cost(cache, {1, 2, 3, 4}), 1u);
}

}  // namespace
}  // namespace calm::generate
