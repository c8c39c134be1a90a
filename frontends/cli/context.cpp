#include "frontends/cli/context.hpp"

#include <exception>
#include <new>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/comm/child.hpp"
#include "core/comm/launch.hpp"
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
    if (module_ != nullptr) {
      runtime_options.comm = &module_->table();
      if (options.threads == 0) {
        runtime_options.threads = module_->processors();
      }
    }
    runtime_ = std::make_unique<run::Runtime>(runtime_options);
  }
  return *runtime_;
}

int Context::on_ranks(const std::function<int()> &body) {
  const comm::Launch launch = comm::launch_of_process();
  if (launch.ranks < 2) {
    return body();
  }
  comm::go_on_in_child(launch.rank);
  const auto say = [&launch](const std::string &message) {
    print_error(launch.rank == 0 ? message : fmt::format("rank {}: {}", launch.rank, message));
  };
  if (launch.rank > 0) {
    options.quiet = true;
    set_log_level(CALM_LOG_ERROR);
  }
  int code = 0;
  bool failed = true;
  try {
    module_ = comm::open_module(launch, default_search().prefix, SignalScope::flag());
    code = body();
    out.flush();
    failed = false;
  } catch (const ReaderGone &) {
    failed = false;  // `… | head`: the work is done
  } catch (const comm::PeerFailed &e) {
    code = exit_code(e.status());
  } catch (const Error &e) {
    say(e.what());
    code = exit_code(e.status());
  } catch (const std::bad_alloc &) {
    say("memory ran out");
    code = exit_code(CALM_OUT_OF_MEMORY);
  } catch (const std::exception &e) {
    say(std::string("internal error: ") + e.what());
    code = exit_code(CALM_INTERNAL);
  }
  if (module_ != nullptr) {
    module_->leave(code, failed);
  }
  return code;
}

std::unique_ptr<run::Session> Context::open(calm_workload workload, std::string_view weights,
                                            std::string_view precision) {
  run::BackendOptions asked;
  for (const std::string &list : options.backend_options) {
    for (OwnedValue &option : run::parse_backend_options(list, "--backend-option")) {
      run::set_option(asked, std::move(option));
    }
  }
  for (const auto &[name, word] : {std::pair("weights", weights), {"precision", precision}}) {
    if (word != "fp32") {
      run::set_option(asked, {name, CALM_VALUE_STR, 0, 0, std::string(word)});
    }
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
