#include "cuda/device.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <array>
#include <string>

#include "cuda/comm.hpp"
#include "cuda/driver.hpp"

namespace calm::cuda {
namespace {

constexpr std::size_t kMaxDevices = 64;
constexpr int kOldestMajor = 8;  // the first architecture that machine code or PTX is built for
constexpr std::uint64_t kBufferAlign = 256;  // what parameter views ask for

int attribute(const Driver &driver, CUdevice device, CUdevice_attribute which) {
  int value = 0;
  driver.check(driver.device_attribute(&value, which, device), "describing a device");
  return value;
}

}  // namespace

std::uint32_t count_devices() {
  const Driver &cards = driver();
  int count = 0;
  cards.check(cards.device_count(&count), "counting devices");
  if (count == 0) {
    throw Error(CALM_UNAVAILABLE, "no CUDA device: the driver lists none");
  }
  for (int i = 0; i < count; ++i) {
    CUdevice device = 0;
    cards.check(cards.device(&device, i), "choosing a device");
    const int major = attribute(cards, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    if (major < kOldestMajor) {
      const int minor = attribute(cards, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
      throw Error(CALM_UNAVAILABLE, "no CUDA device: of device " + std::to_string(i) +
                                        " expected compute capability 8.0 or newer, found " +
                                        std::to_string(major) + "." + std::to_string(minor));
    }
  }
  return std::min(static_cast<std::uint32_t>(count), static_cast<std::uint32_t>(kMaxDevices));
}

calm_device describe_device(std::uint32_t index) {
  // Names are asked to live as long as the plugin.
  static std::array<std::array<char, 256>, kMaxDevices> names;
  const std::uint32_t count = count_devices();
  if (index >= count) {
    throw Error(CALM_NOT_FOUND, "expected a device below " + std::to_string(count) + ", found " +
                                    std::to_string(index));
  }
  const Driver &cards = driver();
  CUdevice card = 0;
  cards.check(cards.device(&card, static_cast<int>(index)), "choosing a device");
  auto &name = names[index];
  cards.check(cards.device_name(name.data(), static_cast<int>(name.size()) - 1, card),
              "describing a device");
  std::size_t memory = 0;
  cards.check(cards.device_memory(&memory, card), "describing a device");
  calm_device device{};
  device.name = str(std::string_view(name.data()));
  device.memory = memory;
  device.align = kBufferAlign;
  device.dtypes = literal("f32");
  return device;
}

std::uint32_t device_of_rank(std::uint32_t index, const calm_host *host) {
  const std::uint32_t count = count_devices();
  if (index >= count) {
    throw Error(CALM_NOT_FOUND, "expected a device below " + std::to_string(count) + ", found " +
                                    std::to_string(index));
  }
  const calm_comm *const comm = host == nullptr ? nullptr : comm_of(*host);
  if (comm == nullptr || comm->local_ranks < 2 || count == 1) {
    return index;
  }
  if (comm->local_ranks > count - index) {
    throw Error(CALM_INVALID_ARGUMENT,
                "cuda: expected at least " + std::to_string(index + comm->local_ranks) +
                    " devices for the " + std::to_string(comm->local_ranks) +
                    " processes of this host" +
                    (index == 0 ? std::string() : " from device " + std::to_string(index) + " on") +
                    ", found " + std::to_string(count));
  }
  return index + comm->local_rank;
}

std::uint32_t score_of(calm_workload workload) {
  switch (workload) {
    case CALM_WORKLOAD_TRAIN:
    case CALM_WORKLOAD_BATCH:
      return 90;
    case CALM_WORKLOAD_DECODE:
      return 5;  // a few small sequences wait for launches: processors are faster
    default:
      return 0;
  }
}

}  // namespace calm::cuda
