#include "core/generate/generator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::generate {
namespace {

using testing::HasSubstr;
using Ids = std::vector<text::Token>;

class Generate : public testing::Test {
 protected:
  Generate() {
    loaded_.model = model_test::make_model(model_test::kOdd);  // l_max 50
    loaded_.weights = std::make_unique<run::Weights>(loaded_.model->layout());
    loaded_.weights->initialise(9);
    generator_ = std::make_unique<Generator>(loaded_, *session_);
  }
  std::vector<Candidate> generate(const Ids &prompt, std::int64_t candidates,
                                  const Sampling &sampling,
                                  const std::vector<std::string> &stops = {}) {
    return generator_->generate(prompt, candidates, sampling, stops);
  }
  static Sampling warm(std::uint64_t seed, std::int64_t max_tokens = 10) {
    Sampling s;
    s.temperature = 1.5;
    s.top_k = 300;
    s.max_tokens = max_tokens;
    s.seed = seed;
    return s;
  }

  std::unique_ptr<run::Session> session_ = model_test::reference();
  run::LoadedModel loaded_;
  std::unique_ptr<Generator> generator_;
};

TEST_F(Generate, TheSameSeedDrawsTheSameText) {
  const std::vector<Candidate> a = generate({257, 65}, 3, warm(1));
  const std::vector<Candidate> b = generate({257, 65}, 3, warm(1));
  const std::vector<Candidate> c = generate({257, 65}, 3, warm(2));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(a[i].ids, b[i].ids);
    EXPECT_EQ(a[i].score, b[i].score);
    EXPECT_NE(a[i].ids, c[i].ids);
  }
}

TEST_F(Generate, CandidatesAreIndependentOfTheirNumber) {
  const std::vector<Candidate> many = generate({257, 65, 66}, 5, warm(1));
  const std::vector<Candidate> few = generate({257, 65, 66}, 2, warm(1));
  EXPECT_EQ(many[0].ids, few[0].ids);
  EXPECT_EQ(many[1].ids, few[1].ids);
  std::set<Ids> different;
  for (const Candidate &candidate : many) {
    different.insert(candidate.ids);
  }
  EXPECT_EQ(different.size(), 5u);
}

// The draw of candidate i is row i's (program rule 11), whatever the size of the batch.
TEST_F(Generate, EveryNumberOfCandidatesGivesTheSameOnes) {
  constexpr std::int64_t kMost = 9;
  const std::vector<Candidate> all = generate({257, 65, 66, 67}, kMost, warm(5, 20));
  for (std::int64_t n = 1; n < kMost; ++n) {
    const std::vector<Candidate> some = generate({257, 65, 66, 67}, n, warm(5, 20));
    for (std::size_t i = 0; i < some.size(); ++i) {
      EXPECT_EQ(some[i].ids, all[i].ids) << i << " of " << n;
      EXPECT_NEAR(some[i].score, all[i].score, 1e-4) << i << " of " << n;
      EXPECT_EQ(some[i].stop, all[i].stop);
    }
  }
}

// What the sampler chose is where the score says: the logits of the text so far, unfiltered.
TEST_F(Generate, TheScoreIsThatOfTheTextReadAtOnce) {
  const Sampling sampling = warm(6, 12);
  for (const Candidate &candidate : generate({257, 65}, 3, sampling)) {
    Ids text = {257, 65};
    double score = 0;
    for (const text::Token id : candidate.ids) {
      const std::vector<float> logits = generator_->logits(generator_->read(text));
      double sum = 0;
      for (const float x : logits) {
        sum += std::exp(static_cast<double>(x) / sampling.temperature);
      }
      score += static_cast<double>(logits[static_cast<std::size_t>(id)]) / sampling.temperature -
               std::log(sum);
      text.push_back(id);
    }
    ASSERT_EQ(candidate.stop, StopReason::kLength);
    EXPECT_NEAR(candidate.score, score, 1e-3);
  }
}

TEST_F(Generate, ScoresAreSumsOfLogProbabilities) {
  const Candidate one = generate({257, 65}, 1, warm(3, 1))[0];
  const Candidate more = generate({257, 65}, 1, warm(3, 6))[0];
  EXPECT_LT(one.score, 0);
  EXPECT_LT(more.score, one.score);
  EXPECT_EQ(one.ids[0], more.ids[0]);
}

TEST_F(Generate, EndsAtTheLimitOfTokensOrOfTheModel) {
  EXPECT_EQ(generate({257, 65}, 1, warm(3, 6))[0].stop, StopReason::kLength);
  const Candidate full = generate(Ids(45, 65), 1, warm(3, 100))[0];
  if (full.stop != StopReason::kEos) {
    EXPECT_EQ(full.ids.size(), 5u);
    EXPECT_EQ(full.stop, StopReason::kLMax);
  }
  EXPECT_EQ(generate(Ids(50, 65), 1, warm(3))[0].stop, StopReason::kLMax);
  EXPECT_TRUE(generate(Ids(80, 65), 1, warm(3))[0].ids.empty());
  EXPECT_TRUE(generate({65}, 1, warm(3, 0))[0].ids.empty());
  EXPECT_TRUE(generate({65}, 0, warm(3)).empty());
}

TEST_F(Generate, AStopConditionEndsItsOwnCandidateOnly) {
  const std::vector<Candidate> free = generate({257, 65}, 4, warm(8));
  ASSERT_GT(free[2].ids.size(), 4u);
  const Ids ids = free[2].ids;
  std::size_t at = 2;  // a byte that stands nowhere before
  while (at < ids.size() && (ids[at] >= 256 || std::count(ids.begin(), ids.end(), ids[at]) > 1)) {
    ++at;
  }
  ASSERT_LT(at, ids.size());
  const std::vector<Candidate> stopped =
      generate({257, 65}, 4, warm(8), {std::string(1, static_cast<char>(ids[at]))});
  EXPECT_EQ(stopped[2].stop, StopReason::kStop);
  EXPECT_EQ(stopped[2].ids, Ids(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(at)));
  for (const std::size_t other : {0u, 1u, 3u}) {
    if (std::count(free[other].ids.begin(), free[other].ids.end(), ids[at]) == 0) {
      EXPECT_EQ(stopped[other].ids, free[other].ids);
    }
  }
}

TEST_F(Generate, PromptsOfAllLengthsWorkOneAfterAnother) {
  for (const std::size_t length : {40u, 1u, 3u, 49u, 2u}) {
    const Ids prompt = model_test::tokens(length, 5);
    const std::vector<Candidate> now = generate(prompt, 2, warm(4, 3));
    Generator fresh(loaded_, *session_);
    const std::vector<Candidate> again = fresh.generate(prompt, 2, warm(4, 3), {});
    EXPECT_EQ(now[0].ids, again[0].ids) << length;
    EXPECT_EQ(now[1].ids, again[1].ids) << length;
  }
}

// A device may run ahead of its reader; nobody can tell.
TEST_F(Generate, StepsStartedAheadChangeNothing) {
  const std::vector<std::string> stops = {"\x10", "a", "zz"};
  for (const std::int64_t max_tokens : {1, 2, 7, 30, 100}) {
    const Sampling sampling = warm(11, max_tokens);
    generator_->set_steps_per_read(1);
    const std::vector<Candidate> want = generate({257, 65}, 4, sampling, stops);
    for (const std::int64_t steps : {2, 3, 7, 8, 64}) {
      generator_->set_steps_per_read(steps);
      const std::vector<Candidate> got = generate({257, 65}, 4, sampling, stops);
      for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].ids, want[i].ids) << steps << " steps a read";
        EXPECT_EQ(got[i].score, want[i].score) << steps << " steps a read";
        EXPECT_EQ(got[i].stop, want[i].stop) << steps << " steps a read";
      }
    }
  }
  EXPECT_THROW(generator_->set_steps_per_read(0), Error);
  EXPECT_THROW(generator_->set_steps_per_read(65), Error);
}

TEST_F(Generate, StepsStartedAheadAreAskedToStopOncePerRead) {
  generator_->set_steps_per_read(5);
  int asked = 0;
  generator_->generate(Ids{65}, 1, warm(1, 21), {}, [&asked] { return ++asked < 0; });
  EXPECT_EQ(asked, 4);  // twenty steps after the first token
}

TEST_F(Generate, AFinishedCandidateChangesNoOther) {
  // Stop conditions end candidates at different steps; the others are those of a run without any.
  const std::vector<Candidate> free = generate({257, 65}, 6, warm(21, 25));
  std::string byte;  // the first one that comes late
  for (const Candidate &candidate : free) {
    for (std::size_t i = 3; i < candidate.ids.size() && byte.empty(); ++i) {
      byte = candidate.ids[i] < 256 ? std::string(1, static_cast<char>(candidate.ids[i])) : "";
    }
  }
  const std::vector<Candidate> some = generate({257, 65}, 6, warm(21, 25), {byte});
  std::size_t ended = 0;
  for (std::size_t i = 0; i < free.size(); ++i) {
    ended += some[i].stop == StopReason::kStop ? 1u : 0u;
    ASSERT_LE(some[i].ids.size(), free[i].ids.size());
    EXPECT_TRUE(std::equal(some[i].ids.begin(), some[i].ids.end(), free[i].ids.begin()));
    if (some[i].stop != StopReason::kStop) {
      EXPECT_EQ(some[i].ids, free[i].ids);
      EXPECT_EQ(some[i].score, free[i].score);
    }
  }
  EXPECT_GE(ended, 1u);
  EXPECT_LT(ended, free.size());
}

TEST_F(Generate, APrefixReadInPiecesContinuesLikeTheWhole) {
  const Ids prompt = model_test::tokens(23, 5);
  const std::vector<Candidate> want = generate(prompt, 3, warm(4, 12));
  const std::vector<float> logits = generator_->logits(generator_->read(prompt));
  for (std::size_t at = 1; at < prompt.size(); ++at) {
    const std::span<const text::Token> all(prompt);
    Prefix prefix = generator_->read(all.first(at));
    generator_->extend(prefix, all.subspan(at));
    EXPECT_EQ(prefix.length(), 23);
    const std::vector<float> got = generator_->logits(prefix);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      ASSERT_NEAR(got[i], logits[i], 1e-5) << "split at " << at;
    }
    const std::vector<Candidate> now = generator_->generate(prefix, 3, warm(4, 12), {});
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(now[i].ids, want[i].ids) << "split at " << at;
    }
  }
}

TEST_F(Generate, APrefixMayGrowKeyByKeyAndBeComeBackTo) {
  const Ids prompt = model_test::tokens(12, 7);
  Prefix prefix = generator_->read(Ids{prompt[0]});
  std::vector<Prefix> typed;
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    typed.push_back(generator_->copy(prefix));
    generator_->extend(prefix, Ids{prompt[i]});
    // Suggestions between the keys leave the prefix alone.
    generator_->generate(prefix, 2, warm(i, 3), {});
  }
  EXPECT_EQ(generator_->generate(prefix, 2, warm(3, 9), {})[1].ids,
            generate(prompt, 2, warm(3, 9))[1].ids);
  // Backspace: back to five tokens.
  EXPECT_EQ(typed[4].length(), 5);
  EXPECT_EQ(generator_->generate(typed[4], 1, warm(3, 9), {})[0].ids,
            generate(Ids(prompt.begin(), prompt.begin() + 5), 1, warm(3, 9))[0].ids);
  generator_->extend(typed[4], {});
  EXPECT_EQ(typed[4].length(), 5);
}

TEST_F(Generate, APrefixGrownBeyondTheModelGivesNothing) {
  Prefix prefix = generator_->read(model_test::tokens(40, 1));
  generator_->extend(prefix, model_test::tokens(120, 2));  // l_max is 50
  EXPECT_EQ(prefix.length(), 160);
  const std::vector<Candidate> none = generator_->generate(prefix, 2, warm(1), {});
  EXPECT_TRUE(none[1].ids.empty());
  EXPECT_EQ(none[1].stop, StopReason::kLMax);
  EXPECT_THROW(generator_->extend(prefix, Ids{320}), Error);
}

TEST_F(Generate, LogitsThatAreNotFiniteAreAnErrorNotAToken) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 3e38F}) {
    loaded_.weights->initialise(9);
    for (std::uint32_t i = 0; i < loaded_.model->layout().params().size(); ++i) {
      if (loaded_.model->layout().param(i).name == "ln_f.bias") {
        std::fill(loaded_.weights->of(i).begin(), loaded_.weights->of(i).end(), bad);
      }
      if (loaded_.model->layout().param(i).name == "token_emb.weight") {
        loaded_.weights->of(i)[3] = 1e5F;  // 3e38 times it is beyond float
      }
    }
    Generator broken(loaded_, *session_);
    for (const double temperature : {0.0, 1.5}) {
      Sampling sampling = warm(1, 5);
      sampling.temperature = temperature;
      try {
        broken.generate(Ids{257, 65}, 2, sampling, {});
        FAIL() << "drew from logits that are not finite";
      } catch (const Error &e) {
        EXPECT_EQ(e.status(), CALM_DIVERGED);
        EXPECT_THAT(e.what(), HasSubstr("token 1: the model's output is not finite"));
      }
    }
  }
}

TEST_F(Generate, AModelBentOnEscapesReachesNoTerminal) {
  for (std::uint32_t i = 0; i < loaded_.model->layout().params().size(); ++i) {
    const std::string &name = loaded_.model->layout().param(i).name;
    const std::span<float> values = loaded_.weights->of(i);
    if (name.starts_with("ln_f.")) {
      std::fill(values.begin(), values.end(), 0.0F);
      values[0] = name == "ln_f.bias" ? 1.0F : 0.0F;
    } else if (name == "token_emb.weight") {
      values[27 * 40] = 100.0F;  // ESC, d_model 40
    }
  }
  Generator bent(loaded_, *session_);
  const Candidate got = bent.generate(Ids{257, 65}, 1, warm(1, 8), {})[0];
  ASSERT_EQ(got.ids, Ids(8, 27));
  EXPECT_EQ(text::printable(text::decode_str(got.ids)), "\\x1b\\x1b\\x1b\\x1b\\x1b\\x1b\\x1b\\x1b");
  const std::string suggestion = text::decode(got.ids);
  for (const char *domain : {"shell", "netref"}) {
    EXPECT_EQ(model_test::runtime().plugins().domain(domain).filter(str("ls "), str(suggestion)),
              0u);
  }
}

TEST_F(Generate, AnyTemperatureAboveZeroIsSafe) {
  for (const double temperature : {1e-300, 1e-45, 1e-38, 1e-20, 1e20, 1e38, 1e300}) {
    Sampling sampling = warm(2, 4);
    sampling.temperature = temperature;
    const Candidate got = generate({257, 65}, 1, sampling)[0];
    EXPECT_TRUE(std::isfinite(got.score)) << temperature;
    if (temperature < 1e-10) {
      Sampling greedy = sampling;
      greedy.temperature = 0;
      EXPECT_EQ(got.ids, generate({257, 65}, 1, greedy)[0].ids) << temperature;
    }
  }
}

TEST_F(Generate, RefusesAnEmptyPromptAndUnknownTokens) {
  const auto status = [this](const Ids &prompt) {
    try {
      generate(prompt, 1, warm(1));
    } catch (const Error &e) {
      return e.status();
    }
    return CALM_OK;
  };
  EXPECT_EQ(status({}), CALM_FAILED);
  EXPECT_EQ(status({320}), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(status({-1}), CALM_INVALID_ARGUMENT);
}

TEST_F(Generate, StopsWhenTheCallerAsksForIt) {
  int asked = 0;
  try {
    generator_->generate(Ids{65}, 1, warm(1, 40), {}, [&asked] { return ++asked == 3; });
    FAIL() << "generation went on";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CANCELLED);
    EXPECT_EQ(asked, 3);
  }
}

}  // namespace
}  // namespace calm::generate
