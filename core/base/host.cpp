#include "core/base/host.hpp"

#include <calm/cpp/error.hpp>

#include <cstdlib>
#include <limits>

#include "core/base/log.hpp"

namespace calm {
namespace {

void *allocate(void *, std::uint64_t bytes, std::uint64_t align) {
  const bool power_of_two = align != 0 && (align & (align - 1)) == 0;
  if (!power_of_two || bytes > std::numeric_limits<std::size_t>::max() / 2) {
    return nullptr;
  }
  void *memory = nullptr;
  const std::size_t at_least = sizeof(void *);
  const std::size_t alignment = align < at_least ? at_least : static_cast<std::size_t>(align);
  // Zero bytes still give a pointer that is not null: null means no memory.
  const std::size_t size = bytes == 0 ? 1 : static_cast<std::size_t>(bytes);
  return ::posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

Host &self_of(void *self) { return *static_cast<Host *>(self); }

}  // namespace

Host::Host(ThreadPool &pool, const std::atomic<int> *stop, const calm_comm *comm) noexcept
    : pool_(pool), stop_(stop), comm_(comm) {
  table_.size = sizeof table_;
  table_.threads = pool.threads();
  table_.self = this;
  table_.log = [](void *, calm_log_level level, calm_str text) { log_line(level, view(text)); };
  table_.alloc = allocate;
  table_.free = [](void *, void *memory) { std::free(memory); };
  table_.parallel_for = [](void *self, std::uint32_t shards, ThreadPool::Body body, void *context) {
    self_of(self).pool().parallel_for(shards, body, context);
  };
  table_.cancelled = [](void *self) -> std::uint32_t { return self_of(self).cancelled() ? 1 : 0; };
  table_.extension = [](void *self, calm_str id) -> const void * {
    return view(id) == CALM_COMM_ID ? self_of(self).comm() : nullptr;
  };
}

int Host::stop_signal() const noexcept {
  return stop_ == nullptr ? 0 : stop_->load(std::memory_order_relaxed);
}

}  // namespace calm
