#include "frontends/cli/dataset_encode.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/data/document.hpp"
#include "core/data/text_dataset.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

constexpr std::int64_t kLongest = std::numeric_limits<std::uint16_t>::max();  // CTDS, spec K.8

std::string read_whole(const std::string &path) {
  const InputFile file(path);
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

void refuse_same_file(const std::string &output, const std::string &other, const char *what) {
  std::error_code error;  // what does not exist yet is another file, unless the names agree
  if (output == other || std::filesystem::equivalent(output, other, error)) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: expected another file than {}", output, what));
  }
}

std::vector<std::uint16_t> narrow(const std::vector<std::uint32_t> &values, const char *what) {
  const auto large =
      std::find_if(values.begin(), values.end(), [](std::uint32_t v) { return v > kLongest; });
  if (large != values.end()) {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("sequence {}: {}: expected at most {}, found {}",
                                                   large - values.begin(), what, kLongest, *large));
  }
  return std::vector<std::uint16_t>(values.begin(), values.end());
}

// L.6: a part without sequences leaves no file.
void write_part(run::Runtime &runtime, const data::SequenceSet &set, const std::string &path) {
  if (set.size() == 0) {
    return;
  }
  const std::vector<std::uint16_t> lengths = narrow(set.lengths, "length");
  const std::vector<std::uint16_t> positions = narrow(set.cmd_pos, "cmd_pos");
  const auto count = static_cast<std::int64_t>(set.size());
  data::Document document;
  document.add<std::uint16_t>("lengths", lengths, {count});
  document.add<std::uint16_t>("cmd_pos", positions, {count});
  document.add<std::uint16_t>("tokens", set.tokens, {static_cast<std::int64_t>(set.tokens.size())});
  data::write_document(runtime, "ctds", document, path);
}

}  // namespace

void encode_dataset(Context &context, const EncodeOptions &options,
                    const std::function<void(const std::string &)> &say) {
  const bool split = options.val_split > 0;
  const std::string val_output = !options.val_output.empty()
                                     ? options.val_output
                                     : data::default_val_path(options.output).string();
  refuse_same_file(options.output, options.input, "the input");
  if (split) {
    refuse_same_file(val_output, options.input, "the input");
    refuse_same_file(val_output, options.output, "--output");
  }
  run::Runtime &runtime = context.runtime();
  say(fmt::format("Reading text dataset from {}...", options.input));
  const data::TextDataset dataset = data::encode_text_dataset(
      read_whole(options.input), options.input, {options.l_max, options.val_split});
  say(fmt::format("Parsed {} {}", dataset.parsed(),
                  dataset.dictionary ? "dictionary entries" : "blocks"));
  if (runtime.cancelled()) {
    throw Error(CALM_CANCELLED, "stopped before anything was written");
  }
  write_part(runtime, dataset.train.sequences, options.output);
  if (split) {
    say(fmt::format("Split: {} train, {} val", dataset.train.parsed, dataset.val.parsed));
  }
  say(fmt::format("{} {} sequences to {}", split ? "Train: wrote" : "Wrote",
                  dataset.train.sequences.size(), options.output));
  if (dataset.train.dropped > 0) {
    say(fmt::format("  ({} dropped: too short or exceeds l_max={})", dataset.train.dropped,
                    options.l_max));
  }
  if (split) {
    write_part(runtime, dataset.val.sequences, val_output);
    say(fmt::format("Val:   wrote {} sequences to {}", dataset.val.sequences.size(), val_output));
    if (dataset.val.dropped > 0) {
      say(fmt::format("  ({} dropped)", dataset.val.dropped));
    }
  }
  if (options.stats) {
    if (dataset.train.sequences.size() == 0) {
      throw Error(CALM_FAILED,
                  options.output + ": no sequence remained, so there is nothing to verify");
    }
    context.out.untrusted(data::render_verification(dataset.train.sequences));
  }
}

void add_dataset_encode(CLI::App &app, Action &action) {
  auto options = std::make_shared<EncodeOptions>();
  CLI::App *verb = app.add_subcommand("encode", "turn a text into a dataset, CTDS");
  EncodeOptions &o = *options;
  verb->add_option("input", o.input, "text file")->required();
  verb->add_option("-o,--output", o.output, "CTDS file")->required();
  verb->add_option("--l-max", o.l_max, "longest sequence kept, in tokens")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  verb->add_option("--val-split", o.val_split, "share that goes to validation")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--val-output", o.val_output, "CTDS file of that share; OUTPUT_val.ctds");
  verb->add_flag("--stats", o.stats, "print the first sequences");
  verb->callback([options, &action] {
    action = [options](Context &context) {
      encode_dataset(context, *options,
                     [&context](const std::string &line) { context.note(line); });
      return 0;
    };
  });
}

}  // namespace calm::cli
