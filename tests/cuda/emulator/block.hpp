// The threads of one block at a time: each a fiber, taken in turn until all of them have ended.
// They meet at barriers; blocks run one after another.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "tests/cuda/emulator/fiber.hpp"

namespace calm_emulated {

inline constexpr unsigned kLanes = 32;

/// Of a kernel's source.
struct Place {
  const char *file;
  int line;
};

/// The program did what a device would hang or end for. Says where.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Grid {
  dim3 grid, block;
  std::size_t dynamic_shared = 0;
  Place launched{};
  const char *kernel = "";
};

/// Of the thread that runs.
struct Thread {
  uint3 index{};
  enum class State { kNew, kReady, kAtWarp, kAtBlock, kEnded } state = State::kNew;
  Place place{};            // where it waits
  unsigned members = 0;     // lanes of its warp that it waits for
  std::uint64_t value = 0;  // what it brought there
  int source = 0;           // and what it wants: a lane's value, or kVotes
  std::uint64_t result = 0;
  unsigned number = 0;  // in the block
  Context context;
  std::byte *stack = nullptr;
};

extern Thread *current;
extern Grid running;
extern uint3 block_index;
extern std::byte *dynamic_shared;

inline constexpr int kVotes = -1;  // a bit for each lane that brought anything but 0

/// Runs `body` as every thread of every block. Threads, warps and blocks go in their order, or
/// backward where CALM_EMULATED_ORDER says so. Throws Failure.
void run(const Grid &grid, const std::function<void()> &body);
bool backward();

/// The current thread waits for the others of its block.
void meet_block(Place place);
/// It waits for the lanes `members` of its warp, all of which come to this place.
std::uint64_t meet_warp(unsigned members, std::uint64_t value, int source, Place place);
[[noreturn]] void fail_here(const std::string &what, Place place);

/// Fills what a block finds in shared memory with 0xff (NaN, -1), once a block.
void freshen(void *shared, std::size_t bytes);
template <class T>
void fresh(T &shared) {
  freshen(&shared, sizeof shared);
}

}  // namespace calm_emulated
