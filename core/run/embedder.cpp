#include "core/run/embedder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include <calm/ops/pool.h>
#include <calm/cpp/error.hpp>

#include "core/data/pairs.hpp"
#include "core/run/buckets.hpp"
#include "core/text/tokenizer.hpp"

namespace calm::run {

namespace {

// A batch holds at least one sequence and stays below both: enough rows to keep a device busy, few
// enough that a run over millions of texts needs a handful of programs and little memory.
constexpr std::size_t kRows = 4096;
constexpr std::size_t kSequences = 64;

void check_ids(std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= LanguageModel::kVocab) {
      throw Error(CALM_INVALID_ARGUMENT,
                  "embed: expected token ids 0 to 319, found " + std::to_string(id));
    }
  }
}

std::vector<float> read_output(const Stage &stage, calm_dtype real) {
  std::vector<float> values;
  if (real == CALM_F32) {
    stage.read("embeddings", values);
  } else {
    std::vector<double> wide;
    stage.read("embeddings", wide);
    values.assign(wide.begin(), wide.end());
  }
  return values;
}

}  // namespace

std::vector<std::int32_t> text_tokens(std::string_view text, std::int64_t l_max) {
  return data::encode_pair_text(text, static_cast<std::size_t>(l_max));
}

Embedder::Embedder(Session &session, const LanguageModel &model, const Weights &weights,
                   Options options)
    : session_(&session),
      model_(&model),
      options_(options),
      weights_(session, model.layout().elements() * dtype_bytes(model.real())) {
  slot_of(shared_, graph::Slot::kWeights) = &weights_;
  weights.write_to(weights_, model.real());
}

Stage &Embedder::stage(std::int64_t rows, std::int64_t sequences) {
  std::unique_ptr<Stage> &stage = stages_[{rows, sequences}];
  if (!stage) {
    const graph::Bucket bucket{rows, sequences, std::min(rows, model_->l_max())};
    const auto mode = options_.pool == Pool::kLast ? CALM_POOL_LAST : CALM_POOL_MEAN;
    stage = std::make_unique<Stage>(*session_, model_->embed(bucket, mode, options_.normalize),
                                    shared_);
  }
  return *stage;
}

// Sequences from `next` on, as many as fit, packed without padding (program rule 2).
Embedder::Batch Embedder::take(std::span<const std::vector<std::int32_t>> sequences,
                               std::size_t &next) const {
  Batch batch;
  batch.offsets.push_back(0);
  const auto l_max = static_cast<std::size_t>(model_->l_max());
  for (; next < sequences.size() && batch.offsets.size() <= kSequences; ++next) {
    std::span<const std::int32_t> ids = sequences[next];
    ids = ids.last(std::min(ids.size(), l_max));
    if (batch.offsets.size() > 1 && batch.tokens.size() + ids.size() > kRows) {
      break;
    }
    check_ids(ids);
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end());
    batch.offsets.push_back(static_cast<std::int32_t>(batch.tokens.size()));
  }
  return batch;
}

std::vector<float> Embedder::embed(std::span<const std::vector<std::int32_t>> sequences) {
  const auto d = static_cast<std::size_t>(dimension());
  std::vector<float> all;
  all.reserve(sequences.size() * d);
  for (std::size_t next = 0; next < sequences.size();) {
    Batch batch = take(sequences, next);
    const std::size_t count = batch.offsets.size() - 1;
    // Few sizes, so few programs: a power of two of sequences, empty ones behind the real ones.
    const std::size_t places = std::bit_ceil(count);
    batch.offsets.resize(places + 1, batch.offsets.back());
    const std::int64_t rows = bucket_tokens(static_cast<std::int64_t>(batch.tokens.size()));
    batch.tokens.resize(static_cast<std::size_t>(rows), text::kPad);

    Stage &program = stage(rows, static_cast<std::int64_t>(places));
    program.write("tokens", batch.tokens);
    program.write("offsets", batch.offsets);
    program.run();
    const std::vector<float> vectors = read_output(program, model_->real());
    const auto end = vectors.begin() + static_cast<std::ptrdiff_t>(count * d);
    if (!std::all_of(vectors.begin(), end, [](float x) { return std::isfinite(x); })) {
      throw Error(CALM_DIVERGED, session_->who() + ": the model's output is not finite");
    }
    all.insert(all.end(), vectors.begin(), end);
  }
  return all;
}

}  // namespace calm::run
