#include "frontends/cli/context.hpp"

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

std::unique_ptr<run::Session> Context::open(calm_workload workload) {
  std::unique_ptr<run::Session> session = runtime().open(options.backend, workload);
  const std::size_t colon = options.backend.find(':');
  const std::string device =
      colon == std::string::npos ? std::string() : options.backend.substr(colon);
  log_info("backend {}{}", session->name(), device);
  return session;
}

void Context::note(std::string_view text) const {
  if (!options.quiet) {
    const std::string safe = text::printable(text) + "\n";
    std::fwrite(safe.data(), 1, safe.size(), stderr);
  }
}

}  // namespace calm::cli
