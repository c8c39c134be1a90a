#include "tests/cuda/emulator/block.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace calm_emulated {

Thread *current = nullptr;
Grid running;
uint3 block_index{};
std::byte *dynamic_shared = nullptr;

namespace {

constexpr std::size_t kStack = std::size_t{256} << 10;
constexpr std::size_t kGuard = 4096;  // below it, without access
constexpr std::size_t kSharedAlign = 128;
constexpr int kPoison = 0xff;

using State = Thread::State;

std::mutex device;  // one kernel at a time
Context scheduler;
const std::function<void()> *kernel = nullptr;
std::vector<Thread> threads;
std::vector<std::byte *> free_stacks;
std::vector<const void *> freshened;
std::string failure;

std::byte *take_stack() {
  if (free_stacks.empty()) {
    void *const memory = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || ::mprotect(memory, kGuard, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
    return static_cast<std::byte *>(memory);
  }
  std::byte *const stack = free_stacks.back();
  free_stacks.pop_back();
  return stack;
}

/// The current thread gives way; it goes on when its turn comes again.
void suspend() { switch_to(current->context, scheduler); }

void thread_main() {
  entered(scheduler);
  (*kernel)();
  current->state = State::kEnded;
  end_in(current->context, scheduler);
}

void resume(Thread &thread) {
  current = &thread;
  if (thread.state == State::kNew) {
    thread.stack = take_stack();
    // Not all at the same distance from a page, where they would share few lines of the cache.
    const std::size_t colour = thread.number % 16 * 192;
    prepare(thread.context, thread.stack + kGuard, kStack - kGuard - colour, thread_main);
    thread.state = State::kReady;
  }
  switch_to(scheduler, thread.context);
  if (thread.state == State::kEnded) {
    free_stacks.push_back(thread.stack);
    thread.stack = nullptr;
  }
  current = nullptr;
}

std::string text_of(Place place) {
  return std::string(place.file) + ":" + std::to_string(place.line);
}

std::string where() {
  return std::string(running.kernel) + ", launched at " + text_of(running.launched) + ", block (" +
         std::to_string(block_index.x) + ", " + std::to_string(block_index.y) + ", " +
         std::to_string(block_index.z) + ") of " + std::to_string(threads.size()) + " threads: ";
}

/// Who waits for whom.
std::string waiting() {
  std::map<std::string, std::vector<unsigned>> places;
  for (const Thread &thread : threads) {
    places[thread.state == State::kEnded     ? std::string("ended")
           : thread.state == State::kAtBlock ? "wait for the block at " + text_of(thread.place)
                                             : "wait for their warp at " + text_of(thread.place)]
        .push_back(thread.number);
  }
  std::string text;
  for (const auto &[what, who] : places) {
    text += (text.empty() ? "" : "; ") + std::to_string(who.size()) + " from number " +
            std::to_string(*std::min_element(who.begin(), who.end())) + " on " + what;
  }
  return text;
}

[[noreturn]] void give_up(const std::string &what) {
  for (Thread &thread : threads) {
    if (thread.stack != nullptr) {
      abandon(thread.context);
      free_stacks.push_back(thread.stack);
    }
  }
  threads.clear();
  throw Failure(what);
}

bool same(Place a, Place b) {
  return a.line == b.line && std::string_view(a.file) == std::string_view(b.file);
}

/// The threads of a warp in turn, until all of them wait or have ended.
void run_warp(std::size_t warp) {
  const std::size_t begin = warp * kLanes;
  const std::size_t end = std::min(begin + kLanes, threads.size());
  for (bool any = true; any;) {
    any = false;
    for (std::size_t i = begin; i < end; ++i) {
      Thread &thread = threads[backward() ? end - 1 - (i - begin) : i];
      if (thread.state == State::kNew || thread.state == State::kReady) {
        any = true;
        resume(thread);
        if (!failure.empty()) {
          give_up(where() + failure);
        }
      }
    }
  }
}

/// Lets the threads on that wait for their block; false when all have ended.
bool release_block() {
  const Thread *first = nullptr;
  for (const Thread &thread : threads) {
    if (thread.state == State::kAtWarp || (first != nullptr && thread.state == State::kAtBlock &&
                                           !same(thread.place, first->place))) {
      give_up(where() + "a barrier that not all of them come to: " + waiting());
    }
    first = thread.state == State::kAtBlock ? &thread : first;
  }
  for (Thread &thread : threads) {
    thread.state = thread.state == State::kAtBlock ? State::kReady : thread.state;
  }
  return first != nullptr;
}

void run_block() {
  const dim3 &size = running.block;
  threads.assign(std::size_t{size.x} * size.y * size.z, Thread{});
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const auto number = static_cast<unsigned>(i);
    threads[i].number = number;
    threads[i].index = {number % size.x, number / size.x % size.y, number / size.x / size.y};
  }
  freshened.clear();
  std::memset(dynamic_shared, kPoison, running.dynamic_shared);
  const std::size_t warps = (threads.size() + kLanes - 1) / kLanes;
  do {
    for (std::size_t i = 0; i < warps; ++i) {
      run_warp(backward() ? warps - 1 - i : i);
    }
  } while (release_block());
}

}  // namespace

bool backward() {
  static const bool is = [] {
    const char *const order = std::getenv("CALM_EMULATED_ORDER");
    return order != nullptr && std::string_view(order) == "backward";
  }();
  return is;
}

void run(const Grid &grid, const std::function<void()> &body) {
  const std::lock_guard lock(device);
  void *memory = nullptr;
  if (::posix_memalign(&memory, kSharedAlign, std::max<std::size_t>(grid.dynamic_shared, 1)) != 0) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<void, void (*)(void *)> owner(memory, std::free);
  dynamic_shared = static_cast<std::byte *>(memory);
  running = grid;
  kernel = &body;
  failure.clear();
  const std::size_t blocks = std::size_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t b = backward() ? blocks - 1 - i : i;
    block_index = {static_cast<unsigned>(b % grid.grid.x),
                   static_cast<unsigned>(b / grid.grid.x % grid.grid.y),
                   static_cast<unsigned>(b / grid.grid.x / grid.grid.y)};
    run_block();
  }
}

void meet_block(Place place) {
  current->place = place;
  current->state = State::kAtBlock;
  suspend();
}

void fail_here(const std::string &what, Place place) {
  failure = "thread " + std::to_string(current->number) + " at " + text_of(place) + " " + what;
  for (;;) {
    suspend();
  }
}

std::uint64_t meet_warp(unsigned members, std::uint64_t value, int source, Place place) {
  Thread &self = *current;
  const unsigned first = self.number / kLanes * kLanes;
  const unsigned lane = self.number % kLanes;
  if ((members >> lane & 1U) == 0) {
    fail_here("is no member of its own mask", place);
  }
  if (source != kVotes &&
      ((members >> source & 1U) == 0 || first + static_cast<unsigned>(source) >= threads.size())) {
    fail_here("reads lane " + std::to_string(source) + ", which takes no part", place);
  }
  self.place = place;
  self.members = members;
  self.value = value;
  self.source = source;
  self.state = State::kAtWarp;
  const auto each = [&](auto &&visit) {
    for (unsigned i = 0; i < kLanes && first + i < threads.size(); ++i) {
      if ((members >> i & 1U) != 0) {
        visit(threads[first + i], i);
      }
    }
  };
  std::uint64_t votes = 0;
  bool all = true;
  each([&](const Thread &other, unsigned i) {
    if (other.state == State::kEnded) {
      fail_here("waits for lane " + std::to_string(i) + ", which has ended", place);
    }
    all = all && other.state == State::kAtWarp && other.members == members &&
          same(other.place, place);
    votes |= std::uint64_t{other.value != 0} << i;
  });
  if (!all) {
    suspend();
    return self.result;
  }
  each([&](Thread &other, unsigned) {
    other.result =
        other.source == kVotes ? votes : threads[first + static_cast<unsigned>(other.source)].value;
  });
  each([](Thread &other, unsigned) { other.state = State::kReady; });
  return self.result;
}

void freshen(void *shared, std::size_t bytes) {
  if (std::find(freshened.begin(), freshened.end(), shared) == freshened.end()) {
    freshened.push_back(shared);
    std::memset(shared, kPoison, bytes);
  }
}

}  // namespace calm_emulated
