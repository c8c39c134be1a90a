#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/host.hpp"
#include "core/base/thread_pool.hpp"
#include "core/run/session.hpp"
#include "core/run/stage.hpp"
#include "core/run/weights.hpp"
#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"

// The onednn backend through its table alone, with models and programs of the core.
namespace calm::onednn_test {

/// A session with threads and options of its own.
class Machine {
 public:
  explicit Machine(std::uint32_t threads = 2, std::string_view options = "")
      : pool_(threads),
        host_(pool_),
        session_(model_test::runtime().plugins().backend("onednn"), "onednn", 0, *host_.table(), {},
                 run::parse_backend_options(options, "the test")) {}
  run::Session &session() { return session_; }

 private:
  ThreadPool pool_;
  Host host_;
  run::Session session_;
};

/// Initial values large enough that every parameter matters.
inline run::Weights weights_of(const run::LanguageModel &model, std::uint64_t seed) {
  run::Weights weights(model.layout());
  weights.initialise(seed);
  for (std::uint32_t i = 0; i < model.layout().params().size(); ++i) {
    if (model.layout().param(i).init == CALM_INIT_NORMAL) {
      for (float &w : weights.of(i)) {
        w *= 4;
      }
    }
  }
  return weights;
}

/// Sequences of these lengths as a batch for the next-token loss.
inline data::Batch batch_of(const std::vector<std::size_t> &lengths, std::uint32_t seed = 1) {
  std::vector<std::vector<std::int32_t>> rows;
  for (const std::size_t length : lengths) {
    rows.push_back(model_test::tokens(length, seed + static_cast<std::uint32_t>(rows.size())));
  }
  const data::Dataset dataset = model_test::make_dataset(rows);
  return data::pack(dataset, model_test::all_of(dataset),
                    static_cast<std::int64_t>(rows.size()) + 1, model_test::kNano.l_max);
}

/// Enough rows for many shards, sequences of every kind: long ones, and an empty one at the end.
inline data::Batch many_rows(std::uint32_t seed = 1) {
  return batch_of({200, 5, 65, 64, 130, 3, 66, 17, 2, 90}, seed);
}

}  // namespace calm::onednn_test
