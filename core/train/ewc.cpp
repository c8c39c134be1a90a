#include "core/train/ewc.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/text/tokenizer.hpp"

namespace calm::train {

namespace {

constexpr double kMaxCount = 2147483647;

constexpr calm_value_spec kKeys[] = {
    spec_str("method", "none", "none or online_ewc"),
    spec_f64("lambda", 0, 0, 1e30, "weight of the penalty"),
    spec_f64("decay", 0.99, 0, 1, "of the Fisher information, at each consolidation"),
    spec_i64("fisher_update_interval_steps", 1000, 1, kMaxCount, "updates between consolidations"),
    spec_i64("fisher_batches", 16, 1, kMaxCount, "micro-batches a consolidation looks at"),
    spec_i64("buffer_batches", 1024, 1, kMaxCount, "micro-batches it draws them from"),
};

std::uint64_t count(const run::Values &section, std::string_view name) {
  return static_cast<std::uint64_t>(section.integer(name));
}

[[noreturn]] void refuse(const char *name, const std::string &expected, const std::string &found) {
  throw Error(CALM_INVALID_ARGUMENT,
              fmt::format("continual.{}: expected {}, found {}", name, expected, found));
}

std::string tensor_name(std::uint64_t i) { return fmt::format("batch/{:06}", i); }

}  // namespace

calm_table continual_keys() { return {kKeys, std::size(kKeys), sizeof kKeys[0]}; }

std::optional<EwcOptions> ewc_options(const run::Values &section) {
  const std::string &said = section.at("method").text;
  std::string method = said;
  std::transform(method.begin(), method.end(), method.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (method == "none") {
    return std::nullopt;
  }
  if (method != "online_ewc") {
    refuse("method", "none or online_ewc", said);
  }
  EwcOptions o;
  o.lambda = section.real("lambda");
  o.decay = section.real("decay");
  o.interval = count(section, "fisher_update_interval_steps");
  o.fisher_batches = count(section, "fisher_batches");
  o.buffer_batches = count(section, "buffer_batches");
  if (!(o.lambda > 0)) {
    refuse("lambda", "a number above 0", fmt::format("{}", o.lambda));
  }
  if (!(o.decay < 1)) {
    refuse("decay", "a number from 0 to below 1", fmt::format("{}", o.decay));
  }
  if (o.buffer_batches < o.fisher_batches) {
    refuse("buffer_batches", fmt::format("at least fisher_batches, {}", o.fisher_batches),
           fmt::format("{}: nothing would ever be consolidated", o.buffer_batches));
  }
  return o;
}

std::vector<OwnedValue> continual_section(const EwcOptions &o) {
  const auto whole = [](const char *name, std::uint64_t value) {
    return OwnedValue{name, CALM_VALUE_I64, static_cast<std::int64_t>(value), 0, {}};
  };
  return {{"method", CALM_VALUE_STR, 0, 0, "online_ewc"},
          {"lambda", CALM_VALUE_F64, 0, o.lambda, {}},
          {"decay", CALM_VALUE_F64, 0, o.decay, {}},
          whole("fisher_update_interval_steps", o.interval),
          whole("fisher_batches", o.fisher_batches),
          whole("buffer_batches", o.buffer_batches)};
}

void EwcBuffer::add(data::Dataset batch) {
  batches_.push_back(std::move(batch));
  limit(capacity_);
}

void EwcBuffer::limit(std::size_t capacity) {
  capacity_ = capacity;
  while (batches_.size() > capacity_) {
    batches_.pop_front();
  }
}

std::vector<const data::Dataset *> EwcBuffer::draw(std::size_t count, std::uint64_t seed,
                                                   std::uint64_t step) const {
  std::vector<const data::Dataset *> drawn;
  for (const std::uint32_t i : data::shuffled(
           batches_.size(), seed, static_cast<std::uint32_t>(step), CALM_STREAM_FISHER)) {
    if (drawn.size() == count) {
      break;
    }
    drawn.push_back(&batches_[i]);
  }
  return drawn;
}

void EwcBuffer::write(data::Document &document) const {
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    const data::Dataset &batch = batches_[i];
    std::size_t longest = 0;
    for (std::size_t row = 0; row < batch.size(); ++row) {
      longest = std::max(longest, batch.sequence(row).size());
    }
    std::vector<std::int32_t> ids(batch.size() * longest, text::kPad);
    for (std::size_t row = 0; row < batch.size(); ++row) {
      const auto sequence = batch.sequence(row);
      std::copy(sequence.begin(), sequence.end(),
                ids.begin() + static_cast<std::ptrdiff_t>(row * longest));
    }
    document.add<std::int32_t>(
        tensor_name(i), ids,
        {static_cast<std::int64_t>(batch.size()), static_cast<std::int64_t>(longest)});
  }
}

void EwcBuffer::read(const data::Document &document, std::uint64_t count, const std::string &path) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = tensor_name(i);
    const data::DocumentTensor *tensor = document.tensor(name);
    if (tensor == nullptr || tensor->type.dtype != CALM_I32 || tensor->type.rank != 2) {
      throw Error(CALM_CORRUPT_DATA,
                  fmt::format("{}: tensor {}: expected i32 [batch, length], found {}", path, name,
                              tensor == nullptr ? "none" : describe(tensor->type)));
    }
    const std::vector<std::int32_t> ids = tensor->as<std::int32_t>();
    const auto longest = static_cast<std::size_t>(tensor->type.shape[1]);
    data::Dataset batch;
    batch.offsets.push_back(0);
    for (std::size_t begin = 0; begin < ids.size(); begin += longest) {
      std::size_t end = begin + longest;
      // Padding on the right is neither a target nor seen by one (spec F.1).
      while (end > begin && ids[end - 1] == text::kPad) {
        --end;
      }
      for (std::size_t k = begin; k < end; ++k) {
        if (ids[k] < 0 || ids[k] >= text::kVocabSize) {
          throw Error(CALM_CORRUPT_DATA,
                      fmt::format("{}: tensor {}: expected token ids from 0 to {}, found {}", path,
                                  name, text::kVocabSize - 1, ids[k]));
        }
        batch.tokens.push_back(static_cast<std::uint16_t>(ids[k]));
      }
      batch.offsets.push_back(batch.tokens.size());
      batch.cmd_pos.push_back(0);
    }
    add(std::move(batch));
  }
}

}  // namespace calm::train
