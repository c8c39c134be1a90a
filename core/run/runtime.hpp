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
};

/// What a process has one of: the thread pool, the host services, the plugins. No globals.
class Runtime {
 public:
  explicit Runtime(const RuntimeOptions &options);

  PluginRegistry &plugins() { return plugins_; }
  const Host &host() const { return host_; }
  bool cancelled() const { return host_.cancelled(); }

  /// Built-in operators first, then those of plugins. Lives as long as the runtime.
  graph::OperatorLookup operators();

  /// A session on `spec`: "auto", or a backend's id with an optional ":device". Auto takes the
  /// backend with the highest score for the workload that has a device. CALM_UNAVAILABLE when the
  /// backend asked for cannot be used: never another one instead.
  std::unique_ptr<Session> open(std::string_view spec, calm_workload workload,
                                const BackendOptions &options = {});

 private:
  ThreadPool pool_;
  Host host_;
  PluginRegistry plugins_;
};

}  // namespace calm::run
