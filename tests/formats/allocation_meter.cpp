#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "support.hpp"

// Every allocation of this program and of the plugins it loads passes here, so a test can tell that
// a size declared by a broken file was never asked of the system.
namespace {

thread_local std::size_t largest = 0;

void *allocate(std::size_t bytes) {
  largest = std::max(largest, bytes);
  if (void *memory = std::malloc(std::max<std::size_t>(bytes, 1))) {
    return memory;
  }
  throw std::bad_alloc();
}

}  // namespace

void *operator new(std::size_t bytes) { return allocate(bytes); }
void *operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }

namespace calm::formats_test {

std::size_t take_largest_allocation() {
  const std::size_t result = largest;
  largest = 0;
  return result;
}

}  // namespace calm::formats_test
