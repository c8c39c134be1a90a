// Stacks of their own and the switch between them: every thread of a block runs on one.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace calm_emulated {

/// Where somebody who does not run goes on.
struct Context {
#if defined(__x86_64__)
  void *sp = nullptr;
#else
  ucontext_t state{};
#endif
  // What AddressSanitizer wants to know.
  void *fake_stack = nullptr;
  const void *bottom = nullptr;
  std::size_t bytes = 0;
};

/// `to` will run `entry`, which never returns and calls entered() first, on this stack.
void prepare(Context &to, std::byte *stack, std::size_t bytes, void (*entry)());
/// `from`: the one that switched to the fiber which has just begun.
void entered(Context &from);
/// Goes on in `to`, until somebody switches to `from`.
void switch_to(Context &from, Context &to);
/// The same, for ever.
[[noreturn]] void end_in(Context &from, Context &to);
/// Before a stack whose fiber did not end is used again.
void abandon(const Context &fiber);

}  // namespace calm_emulated
