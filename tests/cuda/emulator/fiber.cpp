#include "tests/cuda/emulator/fiber.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CALM_EMULATED_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CALM_EMULATED_ASAN
#endif
#if defined(CALM_EMULATED_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// The registers that a call keeps go to the stack; the stack is what is switched.
extern "C" void calm_emulated_switch(void **from, void *to);
asm(R"(
  .text
  .globl calm_emulated_switch
  .hidden calm_emulated_switch
  .type calm_emulated_switch, @function
calm_emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size calm_emulated_switch, .-calm_emulated_switch
)");
#endif

namespace calm_emulated {
namespace {

void change(Context &from, Context &to) {
#if defined(__x86_64__)
  calm_emulated_switch(&from.sp, to.sp);
#else
  ::swapcontext(&from.state, &to.state);
#endif
}

void leave([[maybe_unused]] void **fake_stack, [[maybe_unused]] const Context &to) {
#if defined(CALM_EMULATED_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, to.bottom, to.bytes);
#endif
}

}  // namespace

void prepare(Context &to, std::byte *stack, std::size_t bytes, void (*entry)()) {
  to.fake_stack = nullptr;
  to.bottom = stack;
  to.bytes = bytes;
#if defined(__x86_64__)
  constexpr std::size_t kRegisters = 6;
  void *frame[kRegisters + 2] = {};
  std::memcpy(&frame[kRegisters], &entry, sizeof entry);
  std::byte *const top = stack + bytes - sizeof frame;
  std::memcpy(top, frame, sizeof frame);
  to.sp = top;
#else
  ::getcontext(&to.state);
  to.state.uc_stack.ss_sp = stack;
  to.state.uc_stack.ss_size = bytes;
  to.state.uc_link = nullptr;
  ::makecontext(&to.state, entry, 0);
#endif
}

void entered([[maybe_unused]] Context &from) {
#if defined(CALM_EMULATED_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.bytes);
#endif
}

void switch_to(Context &from, Context &to) {
  leave(&from.fake_stack, to);
  change(from, to);
#if defined(CALM_EMULATED_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void end_in(Context &from, Context &to) {
  leave(nullptr, to);
  change(from, to);
  std::abort();
}

void abandon([[maybe_unused]] const Context &fiber) {
#if defined(CALM_EMULATED_ASAN)
  __asan_unpoison_memory_region(fiber.bottom, fiber.bytes);
#endif
}

}  // namespace calm_emulated
