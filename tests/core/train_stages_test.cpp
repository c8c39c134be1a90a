#include "core/train/stages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/train/bookkeeping.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::train {
namespace {

using model_test::kPico;
using model_test::tokens;

TEST(StepCounts, FollowTheFormulasOfTheSpecification) {
  // samples, batch, accumulation, epochs
  EXPECT_EQ(scheduled_steps(40, 4, 1, 2), 20u);
  EXPECT_EQ(real_steps(40, 4, 1, 2), 20u);
  EXPECT_EQ(scheduled_steps(41, 4, 1, 2), 20u);  // floor
  EXPECT_EQ(real_steps(41, 4, 1, 2), 22u);       // a short batch is an update too
  EXPECT_EQ(scheduled_steps(40, 4, 3, 2), 6u);
  EXPECT_EQ(real_steps(40, 4, 3, 2), 8u);  // the flush
  EXPECT_EQ(scheduled_steps(3, 4, 1, 5), 5u);
  EXPECT_EQ(real_steps(3, 4, 1, 5), 5u);
}

TEST(Bookkeeping, AnEpochWithoutValidationIsJudgedByItsTrainingLoss) {
  Bookkeeping books;
  EXPECT_TRUE(books.epoch_ended(3, {}));
  EXPECT_FALSE(books.epoch_ended(3, {}));
  EXPECT_FALSE(books.epoch_ended(4, {}));
  EXPECT_EQ(books.counter(), 2);
  EXPECT_TRUE(books.epoch_ended(2, {}));
  EXPECT_EQ(books.counter(), 1);
  EXPECT_FALSE(books.epoch_ended(std::nan(""), {}));
  EXPECT_TRUE(books.should_stop(2));
  EXPECT_FALSE(books.should_stop(3));
}

class TrainStages : public testing::Test {
 protected:
  TrainStages() : initial_(model_->layout()) { initial_.initialise(2); }

  data::Batch batch(std::uint32_t seed, std::size_t sequences = 3) const {
    std::vector<std::vector<std::int32_t>> rows;
    for (std::size_t i = 0; i < sequences; ++i) {
      rows.push_back(tokens(12, seed * 100 + static_cast<std::uint32_t>(i)));
    }
    const data::Dataset dataset = model_test::make_dataset(rows);
    return data::pack(dataset, model_test::all_of(dataset), static_cast<std::int64_t>(sequences),
                      kPico.l_max);
  }
  Stages stages() { return {*session_, *model_, model_test::next_token(), {}}; }
  std::vector<float> flat(const Stages &stages) const {
    run::Weights weights(model_->layout());
    stages.download(weights);
    return {weights.flat().begin(), weights.flat().end()};
  }
  static Stages::MicroBatch update(std::uint64_t t) {
    Stages::MicroBatch micro;
    micro.lr = 1e-2;
    micro.t = t;
    return micro;
  }

  std::unique_ptr<run::Session> session_ = model_test::reference();
  std::unique_ptr<run::LanguageModel> model_ = model_test::make_model(kPico);
  run::Weights initial_;
};

TEST_F(TrainStages, LearnABatchByHeart) {
  Stages s = stages();
  s.upload(initial_);
  const data::Batch one = batch(1);
  const double before = s.eval(one);
  for (std::uint64_t t = 1; t <= 40; ++t) {
    s.train(one, update(t));
  }
  EXPECT_LT(s.eval(one), 0.5 * before);
}

// Program rule 9: the result and the metrics are the same however often they are looked at.
TEST_F(TrainStages, MetricsDoNotDependOnWhenTheyAreRead) {
  std::vector<std::vector<Stages::Metrics>> all;
  std::vector<std::vector<float>> weights;
  for (const std::uint64_t interval : {1u, 7u, 64u}) {
    Stages s = stages();
    s.upload(initial_);
    std::vector<Stages::Metrics> &rows = all.emplace_back();
    for (std::uint64_t t = 1; t <= 70; ++t) {
      s.train(batch(static_cast<std::uint32_t>(t % 5)), update(t));
      if (t % interval == 0 || t == 70) {
        const std::vector<Stages::Metrics> now = s.read_metrics();
        rows.insert(rows.end(), now.begin(), now.end());
      }
    }
    weights.push_back(flat(s));
  }
  for (std::size_t i = 1; i < all.size(); ++i) {
    ASSERT_EQ(all[i].size(), 70u);
    for (std::size_t t = 0; t < 70; ++t) {
      EXPECT_EQ(all[i][t].loss_sum, all[0][t].loss_sum) << t;
      EXPECT_EQ(all[i][t].grad_norm, all[0][t].grad_norm) << t;
    }
    EXPECT_EQ(weights[i], weights[0]);
  }
}

TEST_F(TrainStages, AFullRingIsNeverOverwritten) {
  Stages s = stages();
  s.upload(initial_);
  constexpr auto kRows = static_cast<std::uint64_t>(run::LanguageModel::kRingRows);
  for (std::uint64_t t = 1; t <= kRows; ++t) {
    s.train(batch(1), update(t));
  }
  EXPECT_THROW(s.train(batch(1), update(kRows + 1)), Error);
  EXPECT_EQ(s.read_metrics().size(), kRows);
  EXPECT_TRUE(s.read_metrics().empty());
  s.train(batch(1), update(kRows + 1));
  EXPECT_EQ(s.read_metrics().size(), 1u);
}

// In double precision, where rounding does not hide a difference.
TEST_F(TrainStages, TwoMicroBatchesEqualOneOfTwiceTheSize) {
  const std::unique_ptr<run::LanguageModel> wide = model_test::make_model(kPico, CALM_F64);
  Stages whole(*session_, *wide, model_test::next_token(), {});
  Stages halves(*session_, *wide, model_test::next_token(), {});
  whole.upload(initial_);
  halves.upload(initial_);
  for (std::uint64_t t = 1; t <= 3; ++t) {
    std::vector<std::vector<std::int32_t>> rows;
    for (std::uint32_t i = 0; i < 4; ++i) {
      rows.push_back(tokens(12, static_cast<std::uint32_t>(t) * 100 + i));
    }
    const data::Dataset dataset = model_test::make_dataset(rows);
    whole.train(data::pack(dataset, model_test::all_of(dataset), 4, kPico.l_max), update(t));
    for (std::uint32_t half = 0; half < 2; ++half) {
      const std::vector<std::uint32_t> which = {2 * half, 2 * half + 1};
      Stages::MicroBatch micro = update(t);
      micro.first = half == 0;
      micro.update = half == 1;
      micro.grad_scale = 0.5;
      halves.train(data::pack(dataset, which, 2, kPico.l_max), micro);
    }
  }
  const std::vector<Stages::Metrics> a = whole.read_metrics(), b = halves.read_metrics();
  ASSERT_EQ(a.size(), 3u);
  ASSERT_EQ(b.size(), 6u);
  for (std::size_t t = 0; t < 3; ++t) {
    EXPECT_NEAR(a[t].loss_sum, b[2 * t].loss_sum + b[2 * t + 1].loss_sum, 1e-9 * a[t].loss_sum);
    EXPECT_NEAR(a[t].grad_norm, b[2 * t + 1].grad_norm, 1e-9 * a[t].grad_norm);
    EXPECT_EQ(b[2 * t].grad_norm, 0.0);  // nothing was updated
  }
  const std::vector<float> x = flat(whole), y = flat(halves);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(x[i], y[i], 1e-6F);
  }
}

// Program rule 8: the first micro-batch selects its gradient and never reads the old one.
TEST_F(TrainStages, TheFirstMicroBatchForgetsWhatTheGradientsHeld) {
  Stages s = stages();
  s.upload(initial_);
  s.forward(batch(1), true);
  std::vector<float> junk(model_->layout().elements(), NAN);
  s.grads().write(0, junk.data(), s.grads().bytes());
  s.forward(batch(1), true);
  run::Weights gradients(model_->layout());
  gradients.read_from(s.grads());
  for (std::uint32_t i = 0; i < model_->layout().params().size(); ++i) {
    for (const float g : gradients.of(i)) {
      ASSERT_TRUE(std::isfinite(g)) << model_->layout().param(i).name;
    }
  }
}

TEST_F(TrainStages, GradientsThatAreNotFiniteChangeNothing) {
  Stages s = stages();
  run::Weights broken = initial_;
  broken.of(0)[0] = NAN;
  s.upload(broken);
  const std::vector<float> before = flat(s);
  for (std::uint64_t t = 1; t <= 5; ++t) {
    s.train(batch(1), update(t));
  }
  const std::vector<Stages::Metrics> rows = s.read_metrics();
  EXPECT_EQ(rows[0].refused, 1);
  EXPECT_EQ(rows[1].refused, 2);
  EXPECT_EQ(rows[2].refused, 3);
  EXPECT_EQ(rows[4].refused, 3);  // sticky
  const std::vector<float> after = flat(s);
  for (std::size_t i = 1; i < before.size(); ++i) {
    ASSERT_EQ(before[i], after[i]);
  }
}

TEST_F(TrainStages, OneRefusedUpdateIsForgottenByTheNextGoodOne) {
  Stages s = stages();
  run::Weights broken = initial_;
  broken.of(0)[0] = NAN;
  s.upload(broken);
  s.train(batch(1), update(1));
  s.upload(initial_);
  s.train(batch(1), update(2));
  const std::vector<Stages::Metrics> rows = s.read_metrics();
  EXPECT_EQ(rows[0].refused, 1);
  EXPECT_EQ(rows[1].refused, 0);
}

TEST_F(TrainStages, WorkInDoublePrecisionToo) {
  const std::unique_ptr<run::LanguageModel> wide = model_test::make_model(kPico, CALM_F64);
  Stages narrow_stages = stages();
  Stages wide_stages(*session_, *wide, model_test::next_token(), {});
  narrow_stages.upload(initial_);
  wide_stages.upload(initial_);
  for (std::uint64_t t = 1; t <= 5; ++t) {
    narrow_stages.train(batch(3), update(t));
    wide_stages.train(batch(3), update(t));
  }
  const std::vector<Stages::Metrics> a = narrow_stages.read_metrics();
  const std::vector<Stages::Metrics> b = wide_stages.read_metrics();
  for (std::size_t t = 0; t < 5; ++t) {
    EXPECT_NEAR(a[t].loss_sum, b[t].loss_sum, 1e-4 * b[t].loss_sum);
    EXPECT_NEAR(a[t].grad_norm, b[t].grad_norm, 1e-3 * b[t].grad_norm);
  }
}

}  // namespace
}  // namespace calm::train
