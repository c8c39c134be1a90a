#include "core/comm/launch.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace calm::comm {

namespace {

// A step of Slurm, not its job: the script of a job is a single process whatever the job has.
constexpr struct {
  const char *size, *rank;
} kLaunchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                  {"PMI_SIZE", "PMI_RANK"},
                  {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

std::optional<std::uint32_t> number(const char *value) {
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::string_view text = value;
  std::uint32_t n = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(n) : std::nullopt;
}

}  // namespace

Launch launch_of(const std::function<const char *(const char *)> &variable) {
  for (const auto &launcher : kLaunchers) {
    const std::optional<std::uint32_t> ranks = number(variable(launcher.size));
    const std::optional<std::uint32_t> rank = number(variable(launcher.rank));
    if (ranks && rank && *rank < *ranks) {
      return {*rank, *ranks, launcher.size};
    }
  }
  return {};
}

Launch launch_of_process() {
  return launch_of([](const char *name) -> const char * { return std::getenv(name); });
}

}  // namespace calm::comm
