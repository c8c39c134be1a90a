#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>
#include <calm/cpp/plugin.hpp>

#include "core/plugin/loader.hpp"
#include "core/plugin/registry.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/plugin_list.hpp"
#include "frontends/cli/progress.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char *kSaveFolder = "./runs/calm";  // where `calm train` saves unless told

enum class State { kOk, kWarn, kFail };  // kFail: something every user needs does not work

struct Finding {
  State state;
  std::string name, detail;
  std::string fix;  // a command, or what to do; empty when nothing is to be done
};

std::string_view state_name(State state) {
  switch (state) {
    case State::kOk:
      return "ok";
    case State::kWarn:
      return "warn";
    case State::kFail:
      return "fail";
  }
  return "fail";
}

std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The value of "KEY: value" in one of the kernel's tables; empty when it is not there.
std::string kernel_value(const char *table, std::string_view key) {
  std::ifstream file(table);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos &&
        std::string_view(line).substr(0, line.find_last_not_of(" \t", colon - 1) + 1) == key) {
      const std::size_t value = line.find_first_not_of(" \t", colon + 1);
      return value == std::string::npos ? std::string() : line.substr(value);
    }
  }
  return {};
}

std::string instruction_sets() {
  std::string names;
#if defined(__x86_64__)
  const auto add = [&names](bool has, const char *name) {
    names += has ? fmt::format(" {}", name) : std::string();
  };
  add(__builtin_cpu_supports("sse4.2"), "sse4.2");
  add(__builtin_cpu_supports("avx"), "avx");
  add(__builtin_cpu_supports("fma"), "fma");
  add(__builtin_cpu_supports("avx2"), "avx2");
  add(__builtin_cpu_supports("avx512f"), "avx512f");
  add(__builtin_cpu_supports("avx512vnni"), "avx512vnni");
#elif defined(__aarch64__)
  names = " neon";
#endif
  return names;
}

Finding program() {
  const calm_build build = build_stamp();
  return {
      State::kOk,
      "program",
      fmt::format("calm {}, plugin ABI {}, {}{}", CALM_VERSION_STRING, abi_text(CALM_ABI_CURRENT),
                  view(build.compiler), build.debug != 0 ? ", debug build" : ""),
      {}};
}

Finding processor() {
  const std::string model = kernel_value("/proc/cpuinfo", "model name");
  return {State::kOk,
          "processor",
          fmt::format("{};{}", model.empty() ? "unknown" : model, instruction_sets()),
          {}};
}

Finding threads(const Context &context, std::uint32_t started) {
  const std::uint32_t wanted =
      context.options.threads != 0 ? context.options.threads : std::thread::hardware_concurrency();
  const std::string detail =
      fmt::format("{} of {} processors", started, std::thread::hardware_concurrency());
  if (context.options.threads != 0 && started < wanted) {
    return {State::kWarn, "threads", fmt::format("{} started, {} asked for", started, wanted),
            "ulimit -u unlimited"};
  }
  return {State::kOk, "threads", detail, {}};
}

Finding memory() {
  constexpr std::uint64_t kLittle = 512ULL << 20;
  const std::uint64_t available =
      std::strtoull(kernel_value("/proc/meminfo", "MemAvailable").c_str(), nullptr, 10) * 1024;
  rlimit limit{};
  std::uint64_t most = available;
  std::string detail = fmt::format("{} available", format_bytes(available));
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    most = std::min<std::uint64_t>(most, limit.rlim_cur);
    detail += fmt::format(", {} allowed", format_bytes(limit.rlim_cur));
  }
  if (available == 0) {
    return {State::kWarn, "memory", "unknown: /proc/meminfo cannot be read", {}};
  }
  return most < kLittle ? Finding{State::kWarn, "memory", detail + ": enough for small models only",
                                  limit.rlim_cur < kLittle ? "ulimit -v unlimited" : ""}
                        : Finding{State::kOk, "memory", detail, {}};
}

// What there is where a backend has a device.
constexpr std::array<std::pair<const char *, const char *>, 2> kDevices = {
    {{"/dev/nvidiactl", "cuda"}, {"/dev/dri/renderD128", "vulkan"}}};

bool has_no_device(std::string_view backend) {
  return std::any_of(kDevices.begin(), kDevices.end(), [backend](const auto &known) {
    return known.second == backend && ::access(known.first, F_OK) != 0;
  });
}

void backends(PluginRegistry &plugins, std::vector<Finding> &findings) {
  bool any = false;
  for (const ProvidedItem &item : plugins.provided("backend")) {
    const BackendState backend = inspect_backend(plugins, item);
    any |= backend.unusable.empty();
    if (!backend.unusable.empty()) {
      const std::string detail = fmt::format("{}: {}", item.id, backend.unusable);
      // Loaded, so it has a version: on most machines nothing is amiss with it.
      const bool fine = !backend.version.empty() && has_no_device(item.id);
      findings.push_back(fine ? Finding{State::kOk, "backend", detail, {}}
                              : Finding{State::kWarn, "backend", detail,
                                        fmt::format("calm plugins -v; mv {} away", item.path)});
      continue;
    }
    for (const calm_device &device : backend.devices) {
      findings.push_back({State::kOk,
                          "backend",
                          fmt::format("{} {}: {}, {}", item.id, backend.version, view(device.name),
                                      view(device.dtypes)),
                          {}});
    }
  }
  if (!any) {
    findings.push_back({State::kFail, "backend", "none can be used: nothing can be computed",
                        "cmake --install BUILD --prefix PREFIX, or calm --plugin-path DIR …"});
  }
  // A device that no installed backend uses.
  for (const auto &[file, backend] : kDevices) {
    if (::access(file, F_OK) == 0 && !plugins.has("backend", backend)) {
      findings.push_back({State::kWarn, "backend",
                          fmt::format("{}: not installed, though {} is here", backend, file),
                          fmt::format("install a plugin that provides backend:{}", backend)});
    }
  }
}

// What training and running the byte-level family takes.
void needed_plugins(PluginRegistry &plugins, std::vector<Finding> &findings) {
  constexpr std::array<std::pair<const char *, const char *>, 5> kNeeded = {
      {{"format", "cwgt"},
       {"format", "ctds"},
       {"format", "safetensors"},
       {"model", "mamba"},
       {"trainer", "next_token"}}};
  std::string works;
  for (const auto &[kind, id] : kNeeded) {
    std::string reason = "no plugin provides it";
    if (const std::string path = plugins.path(kind, id); !path.empty()) {
      try {
        plugins.try_out(path);
        plugins.details(path);
        works += fmt::format("{}{} {}", works.empty() ? "" : ", ", kind, id);
        continue;
      } catch (const Error &e) {
        reason = e.what();
      }
    }
    findings.push_back({State::kFail, "plugin", fmt::format("{} {}: {}", kind, id, reason),
                        "cmake --install BUILD --prefix PREFIX, then calm plugins -v"});
  }
  if (!works.empty()) {
    findings.push_back({State::kOk, "plugin", works, {}});
  }
}

void other_plugins(PluginRegistry &plugins, std::vector<Finding> &findings) {
  for (const ProvidedItem &item : plugins.provided()) {
    plugins.try_out(item.path);
    try {
      plugins.details(item.path);
    } catch (const Error &) {
      continue;  // the reason is in the table of files
    }
  }
  for (const SearchFolder &folder : plugins.folders()) {
    if (!folder.skipped.empty() && !folder.absent) {
      findings.push_back({State::kWarn, "plugin folder",
                          fmt::format("{} ({}): {}", folder.path, folder.source, folder.skipped),
                          fmt::format("ls -ld {}", folder.path)});
    }
  }
  for (const PluginFile &file : plugins.files()) {
    const std::string &why = file.skipped.empty() ? file.load_error : file.skipped;
    if (!why.empty()) {
      findings.push_back({State::kWarn, "plugin file", fmt::format("{}: {}", file.path, why),
                          fmt::format("repair it, or: rm {}", file.path)});
    }
  }
  for (const std::string &warning : plugins.warnings()) {
    findings.push_back({State::kWarn, "plugin", warning, {}});
  }
}

// The nearest folder that is there: what is missing below it would be created.
Finding save_folder() {
  std::error_code error;
  fs::path at = fs::absolute(kSaveFolder, error).lexically_normal();
  const std::string wanted = at.string();
  while (!fs::exists(at, error) && at != at.parent_path()) {
    at = at.parent_path();
  }
  constexpr std::uint64_t kLittle = 64ULL << 20;
  if (!fs::is_directory(at, error) || ::access(at.c_str(), W_OK | X_OK) != 0) {
    return {State::kFail, "save folder",
            fmt::format("{}: {} cannot be written to", wanted, at.string()),
            "cd elsewhere, or calm train --save-dir DIR"};
  }
  struct statvfs space {};
  const bool known = ::statvfs(at.c_str(), &space) == 0;
  const std::uint64_t left = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (known && left < kLittle) {
    return {State::kWarn, "save folder", fmt::format("{}: {} left", wanted, format_bytes(left)),
            "calm train --save-dir DIR"};
  }
  return {State::kOk, "save folder", fmt::format("{}, {} left", wanted, format_bytes(left)), {}};
}

Finding locale() {
  std::string name = variable("LC_ALL");
  for (const char *next : {"LC_CTYPE", "LANG"}) {
    name = name.empty() ? variable(next) : name;
  }
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const bool utf8 =
      lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  const std::string terminal = is_terminal(stdout) ? variable("TERM") : "no terminal";
  const std::string detail = fmt::format("{}; {}", name.empty() ? "none set" : name, terminal);
  return utf8 ? Finding{State::kOk, "locale", detail, {}}
              : Finding{State::kWarn, "locale",
                        detail + ": text other than ASCII may not show as it is",
                        "export LC_ALL=C.UTF-8"};
}

int run_doctor(Context &context) {
  run::Runtime &runtime = context.runtime();
  PluginRegistry &plugins = runtime.plugins();
  std::vector<Finding> findings = {program(), processor(),
                                   threads(context, runtime.host().pool().threads()), memory()};
  backends(plugins, findings);
  needed_plugins(plugins, findings);
  other_plugins(plugins, findings);
  findings.push_back(save_folder());
  findings.push_back(locale());
  const bool works = std::none_of(findings.begin(), findings.end(), [](const Finding &finding) {
    return finding.state == State::kFail;
  });
  if (context.options.json) {
    Json checks = Json::array();
    for (const Finding &finding : findings) {
      checks.push_back({{"name", finding.name},
                        {"state", state_name(finding.state)},
                        {"detail", finding.detail},
                        {"fix", finding.fix}});
    }
    context.out.json({{"ok", works}, {"checks", checks}});
    return works ? 0 : 1;
  }
  for (const Finding &finding : findings) {
    context.out.untrusted(
        fmt::format("{:<5} {:<14} {}\n", state_name(finding.state), finding.name, finding.detail));
    if (!finding.fix.empty()) {
      context.out.untrusted(fmt::format("{:<20} try: {}\n", "", finding.fix));
    }
  }
  return works ? 0 : 1;
}

}  // namespace

void add_doctor(CLI::App &app, Action &action) {
  CLI::App *verb = app.add_subcommand("doctor", "say what works here, what is missing and the fix");
  verb->callback([&action] { action = run_doctor; });
}

}  // namespace calm::cli
