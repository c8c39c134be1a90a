#include "frontends/cli/context.hpp"

#include <utility>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/text/printable.hpp"

namespace calm::cli {

run::Runtime &Context::runtime() {
  if (!runtime_) {
    signals_.emplace();
    faults_.emplace();
    run::RuntimeOptions runtime_options;
    runtime_options.search = default_search(options.plugin_path);
    runtime_options.threads = options.threads;
    runtime_options.stop = SignalScope::flag();
    runtime_ = std::make_unique<run::Runtime>(runtime_options);
  }
  return *runtime_;
}

std::unique_ptr<run::Session> Context::open(calm_workload workload, std::string_view weights) {
  run::BackendOptions asked;
  for (const std::string &list : options.backend_options) {
    for (OwnedValue &option : run::parse_backend_options(list, "--backend-option")) {
      run::set_option(asked, std::move(option));
    }
  }
  if (weights != "fp32") {
    run::set_option(asked, {"weights", CALM_VALUE_STR, 0, 0, std::string(weights)});
  }
  std::unique_ptr<run::Session> session = runtime().open(options.backend, workload, asked);
  const std::size_t colon = options.backend.find(':');
  const std::string device =
      colon == std::string::npos ? std::string() : options.backend.substr(colon);
  if (const std::string choice = session->name() + device; choice != told_) {
    log_info("backend {}", choice);
    told_ = choice;
  }
  return session;
}

std::string Context::weights(const std::string &asked) const {
  const std::string &found = asked.empty() ? options.weights : asked;
  return found.empty() ? "fp32" : found;
}

void Context::note(std::string_view text) const {
  if (!options.quiet) {
    const std::string safe = text::printable(text) + "\n";
    std::fwrite(safe.data(), 1, safe.size(), stderr);
  }
}

}  // namespace calm::cli
