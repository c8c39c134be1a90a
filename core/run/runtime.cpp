#include "core/run/runtime.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/ops/table.hpp"

namespace calm::run {

namespace {

// Devices of a backend, or 0 and the reason it has none.
std::uint32_t device_count(const calm_backend &backend, std::string *reason) {
  std::uint32_t count = 0;
  calm_error error{};
  const calm_status status = backend.devices(&count, &error);
  if (status == CALM_OUT_OF_MEMORY) {
    check(status, error);
  }
  if (status != CALM_OK) {
    *reason = error.message;
    return 0;
  }
  if (count == 0) {
    *reason = error.message[0] != '\0' ? error.message : "no device";
  }
  return count;
}

}  // namespace

Runtime::Runtime(const RuntimeOptions &options)
    : pool_(options.threads), host_(pool_, options.stop, options.comm), plugins_(options.search) {}

graph::OperatorLookup Runtime::operators() {
  return [this](std::string_view id, std::uint32_t revision) {
    const calm_operator *builtin = ops::find_operator(id, revision);
    return builtin != nullptr ? builtin : plugins_.find_operator(id, revision);
  };
}

std::unique_ptr<Session> Runtime::open(std::string_view spec, calm_workload workload,
                                       const BackendOptions &options) {
  if (spec == "auto") {
    return open_best(workload, options);
  }
  std::string id(spec);
  std::uint32_t device = 0;
  if (const std::size_t colon = spec.find(':'); colon != std::string_view::npos) {
    id = spec.substr(0, colon);
    const std::string_view number = spec.substr(colon + 1);
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), device);
    if (code != std::errc() || end != number.data() + number.size()) {
      throw Error(CALM_INVALID_ARGUMENT, fmt::format("--backend {}: expected a device number after "
                                                     "the colon, found \"{}\"",
                                                     spec, number));
    }
  }
  plugins_.require_one("backend", id);
  return open_device(id, device, options);
}

std::unique_ptr<Session> Runtime::open_device(const std::string &id, std::uint32_t device,
                                              const BackendOptions &options) {
  const calm_backend &backend = plugins_.backend(id);
  std::string reason;
  const std::uint32_t count = device_count(backend, &reason);
  if (count == 0) {
    throw Error(CALM_UNAVAILABLE, fmt::format("backend {} cannot be used here: {}", id, reason));
  }
  if (device >= count) {
    throw Error(CALM_UNAVAILABLE,
                fmt::format("backend {} has devices 0 to {}, found {}", id, count - 1, device));
  }
  return std::make_unique<Session>(backend, id, device, *host_.table(),
                                   plugins_.path("backend", id), options);
}

// Whether there is a device is asked from the best on: starting a driver takes longer than many a
// completion.
std::unique_ptr<Session> Runtime::open_best(calm_workload workload, const BackendOptions &options) {
  std::string tried;
  std::vector<std::pair<std::uint32_t, std::string>> candidates;
  for (const std::string &id : plugins_.ids("backend")) {
    try {
      candidates.emplace_back(plugins_.backend(id).score(workload), id);
    } catch (const Error &e) {
      if (e.status() == CALM_OUT_OF_MEMORY) {
        throw;
      }
      tried += fmt::format("; {}: {}", id, e.what());
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto &a, const auto &b) { return a.first > b.first; });
  for (const auto &[score, id] : candidates) {
    std::string reason;
    if (device_count(plugins_.backend(id), &reason) > 0) {
      try {
        return open_device(id, 0, options);
      } catch (const Error &e) {
        // Options were meant for the best one.
        if (e.status() != CALM_UNAVAILABLE || !options.empty()) {
          throw;
        }
        reason = e.what();
      }
    }
    tried += fmt::format("; {}: {}", id, reason);
  }
  throw Error(CALM_UNAVAILABLE, "no backend can be used" + tried);
}

}  // namespace calm::run
