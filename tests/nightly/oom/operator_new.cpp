// Linked into calm_oom, a second build of the program: its operator new throws at the
// CALM_OOM_AT-th allocation after main began, or with CALM_OOM_FROM=1 from that one on. Unlike the
// preloaded shim it goes with the sanitizers, so their leak check sees what an exception left
// behind; C allocations are not counted. The plugins use it too: the program's operator comes first
// when they are linked.
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> tried{0};
std::atomic<bool> counting{false};
long fail_at = 0;
bool fail_from = false;

void report() {
  counting = false;
  if (const char *path = std::getenv("CALM_OOM_COUNT")) {
    if (std::FILE *file = std::fopen(path, "w")) {
      std::fprintf(file, "%ld\n", tried.load());
      std::fclose(file);
    }
  }
}

bool fails() noexcept {
  if (!counting.load(std::memory_order_relaxed)) {
    return false;
  }
  const long now = ++tried;
  return fail_at > 0 && (fail_from ? now >= fail_at : now == fail_at);
}

void *allocate(std::size_t bytes, std::size_t align) {
  void *memory = nullptr;
  if (!fails()) {
    memory = align <= alignof(std::max_align_t)
                 ? std::malloc(bytes == 0 ? 1 : bytes)
                 : std::aligned_alloc(align, (bytes + align - 1) / align * align);
  }
  if (memory == nullptr) {
    if (const std::new_handler handler = std::get_new_handler()) {
      handler();  // the program's own throws
    }
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

void *operator new(std::size_t bytes) { return allocate(bytes, 1); }
void *operator new[](std::size_t bytes) { return allocate(bytes, 1); }
void *operator new(std::size_t bytes, std::align_val_t align) {
  return allocate(bytes, static_cast<std::size_t>(align));
}
void *operator new[](std::size_t bytes, std::align_val_t align) {
  return allocate(bytes, static_cast<std::size_t>(align));
}
void *operator new(std::size_t bytes, const std::nothrow_t &) noexcept {
  return fails() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void *operator new[](std::size_t bytes, const std::nothrow_t &) noexcept {
  return fails() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, const std::nothrow_t &) noexcept { std::free(memory); }
void operator delete[](void *memory, const std::nothrow_t &) noexcept { std::free(memory); }

// main() of the program, which its own build of main.cpp calls so.
int calm_main(int argc, char **argv);

int main(int argc, char **argv) {
  const char *at = std::getenv("CALM_OOM_AT");
  const char *from = std::getenv("CALM_OOM_FROM");
  fail_at = at == nullptr ? 0 : std::atol(at);
  fail_from = from != nullptr && from[0] == '1';
  std::atexit(report);
  counting = true;
  const int code = calm_main(argc, argv);
  counting = false;
  return code;
}
