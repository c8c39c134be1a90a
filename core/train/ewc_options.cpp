#include "core/train/ewc_options.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

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

}  // namespace calm::train
