#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/plugin_scope.hpp"
#include "core/base/signals.hpp"
#include "core/comm/module.hpp"
#include "core/comm/ranks.hpp"
#include "core/run/runtime.hpp"
#include "frontends/cli/laps.hpp"
#include "frontends/cli/output.hpp"

namespace calm::cli {

/// Options every verb takes, before or after its name. Flags win over CALM_* variables, these over
/// the settings file, that over what stands here.
struct GlobalOptions {
  bool json = false;
  bool quiet = false;
  int verbose = 0;
  Color color = Color::kAuto;
  std::vector<std::string> plugin_path;
  std::string backend = "auto";
  std::vector<std::string> backend_options;  ///< KEY=VALUE, or several with blanks between
  std::string weights;                       ///< of the settings file: see Context::weights
  std::uint32_t threads = 0;                 ///< 0: one a usable processor
  std::optional<std::uint64_t> seed;
};

/// What a verb works with.
class Context {
 public:
  GlobalOptions options;
  Output out;
  Laps laps;  ///< since the program started

  /// Made on first use. From then on a signal asks to stop instead of ending the process, so
  /// whatever waits for a person's input comes before.
  run::Runtime &runtime();
  /// Does `body` on each of the processes that a launcher started together with this one, or in
  /// this one alone. Ranks but the first are quiet, and say of which rank an error is. Returns the
  /// exit code.
  int on_ranks(const std::function<int()> &body);
  /// The ranks that on_ranks() found; of its body only.
  comm::Ranks ranks() const {
    return comm::Ranks(module_ == nullptr ? nullptr : &module_->table());
  }
  /// The device of --backend, with the options given for it; says on stderr which one it is, once.
  /// `weights` and `precision` other than fp32, which every backend has, are its options of those
  /// names.
  std::unique_ptr<run::Session> open(calm_workload workload, std::string_view weights = "fp32",
                                     std::string_view precision = "fp32");
  /// How weights are to be kept: as the verb was told, else as the settings file says, else fp32.
  std::string weights(const std::string &asked) const;
  std::uint64_t seed() const { return options.seed.value_or(0); }
  /// A line of progress on stderr, without the name of the program; nothing with -q.
  void note(std::string_view text) const;

 private:
  std::unique_ptr<comm::Module> module_;
  std::optional<SignalScope> signals_;
  std::optional<FaultScope> faults_;
  std::unique_ptr<run::Runtime> runtime_;
  std::string told_;  ///< the backend that was last named on stderr
};

}  // namespace calm::cli
