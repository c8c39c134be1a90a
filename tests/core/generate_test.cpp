#include "core/generate/generator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

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
