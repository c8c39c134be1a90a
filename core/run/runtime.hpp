#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/host.hpp"
#include "core/graph/graph.hpp"
#include "core/plugin/registry.hpp"
#include "core/run/session.hpp"

namespace calm::run {

struct RuntimeOptions {
  SearchOptions search = default_search();
  std::uint32_t threads = 0;               ///< 0: one a usable processor
  const std::atomic<int> *stop = nullptr;  ///< SignalScope::flag(), or null
  const calm_comm *comm = nullptr;         ///< of comm::Module::table(); null: a process alone
};

/// What a process has one of: the thread pool, the host services, the plugins. No globals.
class Runtime {
 public:
  explicit Runtime(const RuntimeOptions &options);

  PluginRegistry &plugins() { return plugins_; }
  const Host &host() const { return host_; }
  bool cancelled() const { return host_.cancelled(); }
  int stop_signal() const { return host_.stop_signal(); }
  const calm_comm *comm() const { return host_.comm(); }

  /// Built-in operators first, then those of plugins. Lives as long as the runtime.
  graph::OperatorLookup operators();

  /// A session on `spec`: "auto", or a backend's id with an optional ":device". Auto takes the
  /// backend with the highest score for the workload that can be opened. CALM_UNAVAILABLE when the
  /// backend asked for cannot be used: never another one instead.
  std::unique_ptr<Session> open(std::string_view spec, calm_workload workload,
                                const BackendOptions &options = {});

 private:
  std::unique_ptr<Session> open_device(const std::string &id, std::uint32_t device,
                                       const BackendOptions &options);
  std::unique_ptr<Session> open_best(calm_workload workload, const BackendOptions &options);

  ThreadPool pool_;
  Host host_;
  PluginRegistry plugins_;
};

}  // namespace calm::run
