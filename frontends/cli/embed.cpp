#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/run/embedder.hpp"
#include "core/run/model_file.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/embedding_file.hpp"
#include "frontends/cli/line_reader.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

using run::Embedder;

// Lines taken at once, where so many are there: enough for full batches, few enough that answers
// keep coming.
constexpr std::size_t kLines = 256;
// With --text a line comes back, but not one of any length.
constexpr std::size_t kTextBytes = std::size_t{1} << 20;

struct Options {
  std::string model, output, pool = "mean";
  bool no_normalize = false, text = false;
};

// {"index":1,"text":"…","embedding":[…]}: numbers in shortest form that reads back as the same
// float32.
std::string json_line(std::uint64_t index, const std::string *text, std::span<const float> vector,
                      bool ascii) {
  std::string line = fmt::format("{{\"index\":{}", index);
  if (text != nullptr) {
    line += ",\"text\":" + Json(*text).dump(-1, ' ', ascii, Json::error_handler_t::replace);
  }
  line += ",\"embedding\":[";
  fmt::format_to(std::back_inserter(line), "{}", fmt::join(vector.begin(), vector.end(), ","));
  return line + "]}";
}

int run_embed(Context &context, const Options &options) {
  run::Runtime &runtime = context.runtime();
  const run::LoadedModel loaded = run::load_model(runtime, options.model);
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_BATCH);
  Embedder embedder(*session, *loaded.model, *loaded.weights,
                    {options.pool == "last" ? Embedder::Pool::kLast : Embedder::Pool::kMean,
                     !options.no_normalize});
  const auto d = static_cast<std::size_t>(embedder.dimension());
  const std::int64_t l_max = loaded.model->l_max();
  std::optional<EmbeddingFile> file;
  if (!options.output.empty()) {
    file.emplace(options.output, embedder.dimension());
  }
  // No more of a line than the model reads.
  LineReader input(STDIN_FILENO, options.text ? kTextBytes : static_cast<std::size_t>(l_max),
                   [&runtime] { return runtime.cancelled(); });
  std::uint64_t count = 0;
  for (std::vector<std::string> lines = input.read(kLines); !lines.empty();
       lines = input.read(kLines)) {
    std::vector<std::vector<std::int32_t>> sequences;
    std::transform(lines.begin(), lines.end(), std::back_inserter(sequences),
                   [&](const std::string &line) { return run::text_tokens(line, l_max); });
    const std::vector<float> vectors = embedder.embed(sequences);
    if (file) {
      file->add(vectors);
    }
    for (std::size_t i = 0; !file && i < lines.size(); ++i) {
      context.out.line(json_line(count + i + 1, options.text ? &lines[i] : nullptr,
                                 std::span(vectors).subspan(i * d, d), context.out.terminal()));
    }
    context.out.flush();
    count += lines.size();
  }
  if (file) {
    file->publish(runtime);
    context.note(fmt::format("{} vectors of {} numbers -> {}", count, d, options.output));
  }
  return 0;
}

}  // namespace

void add_embed(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("embed", "vectors of texts, one a line on standard input");
  Options &o = *options;
  verb->add_option("-m,--model", o.model, "CWGT file")->required();
  verb->add_option("--pool", o.pool, "one vector of all positions: their mean, or the last")
      ->check(CLI::IsMember({"mean", "last"}))
      ->capture_default_str();
  verb->add_flag("--no-normalize", o.no_normalize, "vectors as they are, not of length 1");
  verb->add_flag("--text", o.text, "repeat each text (up to 1 MiB of it) beside its vector");
  verb->add_option("-o,--output", o.output,
                   ".safetensors or .npy file instead of JSON lines on standard output");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_embed(context, *options); };
  });
}

}  // namespace calm::cli
