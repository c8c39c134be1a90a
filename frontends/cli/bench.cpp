#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/train/config.hpp"
#include "frontends/cli/bench_tests.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

constexpr std::int64_t kMostRepetitions = 10000;
constexpr std::int64_t kMostTokens = 65534;  // l_max of a model file

struct Options {
  std::string model, preset, output = "md", weights;
  std::vector<std::string> backends;
  bool train = false;
  std::int64_t prompt = 256, tokens = 128, keys = 16, repetitions = 5;
};

struct Subject {
  std::string name;
  run::LoadedModel loaded;
  run::Values training;
};

Subject subject_of(Context &context, const Options &options) {
  run::Runtime &runtime = context.runtime();
  if (!options.model.empty()) {
    // A file does not say how it was trained; of this only the batch changes what a step costs.
    const std::vector<OwnedValue> usual = {{"epochs", CALM_VALUE_I64, 1, 0, {}},
                                           {"batch_size", CALM_VALUE_I64, 16, 0, {}},
                                           {"learning_rate", CALM_VALUE_F64, 0, 1e-4, {}}};
    const calm_table &schema = runtime.plugins().trainer("next_token").options;
    return {std::filesystem::path(options.model).filename().string(),
            run::load_model(runtime, options.model),
            run::Values::resolve(schema, usual, "training")};
  }
  if (options.preset.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --model FILE or --preset NAME (try calm bench --help)");
  }
  train::ConfigRequest request;
  request.preset = options.preset;
  const train::TrainConfig config = train::resolve_config(runtime, request);
  return {options.preset, run::make_model(runtime, config.backbone, config.model, context.seed()),
          config.training};
}

// Said before anything runs: that there is something to do, and that it fits the model.
void check_sizes(const Options &options, std::int64_t l_max) {
  if (options.prompt == 0 && options.tokens == 0 && options.keys == 0) {
    throw Error(CALM_INVALID_ARGUMENT,
                "nothing to measure: --prompt, --tokens and --keystrokes are all 0");
  }
  const std::int64_t behind = std::max(options.tokens, options.keys);
  const std::int64_t longest = std::max<std::int64_t>(options.prompt, 1) + behind;
  if (longest > l_max) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("the model reads {} tokens: expected --prompt and what follows it "
                            "within that, found {} together",
                            l_max, longest));
  }
}

std::string device_name(const run::Session &session, const std::string &spec) {
  const std::size_t colon = spec.find(':');
  const auto index = colon == std::string::npos
                         ? 0U
                         : static_cast<std::uint32_t>(std::stoul(spec.substr(colon + 1)));
  calm_device device{};
  call(session.backend().device, index, &device);
  return copy(device.name);
}

struct Row {
  std::string backend, device, dtype;
  Timing timing;
};

class Bench {
 public:
  Bench(Context &context, const Options &options)
      : context_(&context), options_(&options), subject_(subject_of(context, options)) {
    check_sizes(options, subject_.loaded.model->l_max());
    plan_ = {options.repetitions, [&context] { return context.runtime().cancelled(); }};
  }

  std::vector<Row> run() {
    const std::string asked = context_->options.backend;
    const std::vector<std::string> backends =
        options_->backends.empty() ? std::vector<std::string>{asked} : options_->backends;
    for (const std::string &backend : backends) {
      context_->options.backend = backend;
      run_on_one();
    }
    context_->options.backend = asked;
    return std::move(rows_);
  }

  const Subject &subject() const { return subject_; }

 private:
  // `auto` chooses by what a session is for, so there is one for each kind of work.
  void run_on_one() {
    run::LoadedModel &loaded = subject_.loaded;
    const std::string weights = context_->weights(options_->weights);
    const bool reads = options_->prompt > 0;
    const std::int64_t prompt = std::max<std::int64_t>(options_->prompt, 1);
    if (options_->train && reads) {
      const auto session = context_->open(CALM_WORKLOAD_TRAIN);
      add(*session, "fp32",
          time_train(context_->runtime(), loaded, *session, plan_, subject_.training, prompt));
    }
    const auto decoder = context_->open(CALM_WORKLOAD_DECODE, weights);
    if (reads) {
      add(*decoder, weights, time_prefill(loaded, *decoder, plan_, prompt));
    }
    if (options_->tokens > 0) {
      add(*decoder, weights, time_decode(loaded, *decoder, plan_, prompt, options_->tokens));
    }
    if (options_->keys > 0) {
      add(*decoder, weights, time_keystrokes(loaded, *decoder, plan_, prompt, options_->keys));
    }
    if (reads) {
      const auto session = context_->open(CALM_WORKLOAD_BATCH, weights);
      add(*session, weights, time_embed(loaded, *session, plan_, prompt));
    }
  }

  void add(const run::Session &session, const std::string &weights, Timing timing) {
    rows_.push_back({session.name(), device_name(session, context_->options.backend), weights,
                     std::move(timing)});
  }

  Context *context_;
  const Options *options_;
  Subject subject_;
  BenchPlan plan_;
  std::vector<Row> rows_;
};

struct Header {
  std::string model;
  std::uint64_t params = 0;
  std::uint32_t threads = 0;
};

void print_table(Output &out, const Header &header, const std::vector<Row> &rows) {
  out.line("| model | params | backend | threads | weights | test | tokens/s | p50 ms | p95 ms |");
  out.line("|---|---:|---|---:|---|---|---:|---:|---:|");
  for (const Row &row : rows) {
    const Timing &t = row.timing;
    out.untrusted(fmt::format("| {} | {} | {} | {} | {} | {} {} | {:.1f} | {:.4f} | {:.4f} |\n",
                              header.model, header.params, row.backend, header.threads, row.dtype,
                              t.test, t.size, t.tokens_per_second(), t.milliseconds(0.5),
                              t.milliseconds(0.95)));
  }
}

// A field as RFC 4180 has it.
std::string csv(const std::string &text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

void print_csv(Output &out, const Header &header, const std::vector<Row> &rows) {
  out.line(
      "model,params,backend,device,threads,dtype,test,size,tokens_per_s,p50_ms,p95_ms,samples");
  for (const Row &row : rows) {
    const Timing &t = row.timing;
    out.untrusted(fmt::format("{},{},{},{},{},{},{},{},{:.6g},{:.6g},{:.6g},{}\n",
                              csv(header.model), header.params, csv(row.backend), csv(row.device),
                              header.threads, row.dtype, t.test, t.size, t.tokens_per_second(),
                              t.milliseconds(0.5), t.milliseconds(0.95), t.seconds.size()));
  }
}

void print_json(Output &out, const Header &header, const std::vector<Row> &rows) {
  Json json = Json::array();
  for (const Row &row : rows) {
    const Timing &t = row.timing;
    json.push_back({{"model", header.model},
                    {"params", header.params},
                    {"backend", row.backend},
                    {"device", row.device},
                    {"threads", header.threads},
                    {"dtype", row.dtype},
                    {"test", t.test},
                    {"size", t.size},
                    {"tokens_per_s", t.tokens_per_second()},
                    {"p50_ms", t.milliseconds(0.5)},
                    {"p95_ms", t.milliseconds(0.95)},
                    {"samples", t.seconds.size()}});
  }
  out.json(json);
}

int run_bench(Context &context, const Options &options) {
  Bench bench(context, options);
  const std::vector<Row> rows = bench.run();
  const Header header{bench.subject().name, bench.subject().loaded.model->param_count(),
                      context.runtime().host().table()->threads};
  if (context.options.json || options.output == "json") {
    print_json(context.out, header, rows);
  } else if (options.output == "csv") {
    print_csv(context.out, header, rows);
  } else {
    print_table(context.out, header, rows);
  }
  return 0;
}

}  // namespace

void add_bench(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("bench", "measure how fast a model runs here");
  Options &o = *options;
  auto *model = verb->add_option("-m,--model", o.model, "CWGT file");
  verb->add_option("--preset", o.preset, "nano, micro, mini or small, with fresh weights")
      ->excludes(model);
  verb->add_option("-b,--backends", o.backends, "one after another, instead of --backend")
      ->option_text("B1,B2")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_flag("--train", o.train, "training steps as well");
  const CLI::Range sizes(std::int64_t{0}, kMostTokens);
  verb->add_option("-p,--prompt", o.prompt, "tokens of a prompt or text; 0: do not read any")
      ->check(sizes)
      ->capture_default_str();
  verb->add_option("-n,--tokens", o.tokens, "tokens to generate; 0: none")
      ->check(sizes)
      ->capture_default_str();
  verb->add_option("-k,--keystrokes", o.keys, "keys of a line that is typed; 0: none")
      ->check(sizes)
      ->capture_default_str();
  verb->add_option("-r,--repetitions", o.repetitions, "how often each is done")
      ->check(CLI::Range(std::int64_t{1}, kMostRepetitions))
      ->capture_default_str();
  verb->add_option("-o,--output", o.output, "md, csv or json")
      ->check(CLI::IsMember({"md", "csv", "json"}))
      ->capture_default_str();
  add_weights_option(*verb, o.weights);
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_bench(context, *options); };
  });
}

}  // namespace calm::cli
