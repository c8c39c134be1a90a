#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <system_error>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/signals.hpp"
#include "frontends/cli/app.hpp"
#include "frontends/cli/old/old_name.hpp"
#include "frontends/cli/output.hpp"

namespace {

std::atomic<bool> memory_ran_out{false};

// Called by operator new before it throws.
void note_failure() {
  memory_ran_out.store(true);
  throw std::bad_alloc();
}

// Where an exception must not pass, in a destructor or a library's function that promised not to
// throw, running out of memory ends the program; not as a crash, since it is none.
[[noreturn]] void end_program() {
  if (memory_ran_out.load()) {
    calm::print_error("memory ran out");
    ::_exit(calm::exit_code(CALM_OUT_OF_MEMORY));
  }
  std::abort();
}

int out_of_memory() noexcept {
  calm::print_error("memory ran out");
  return calm::exit_code(CALM_OUT_OF_MEMORY);
}

// Nothing here may throw: there may be no memory for a longer message.
int internal_error(const std::exception &e) noexcept {
  try {
    calm::print_error(std::string("internal error: ") + e.what());
  } catch (...) {
    calm::print_error("internal error");
  }
  return calm::exit_code(CALM_INTERNAL);
}

}  // namespace

// The border where exceptions end: one line on stderr and an exit code by the one table of base.h.
int main(int argc, char **argv) {
  // A reader that went away is an error of writing, to the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::set_new_handler(note_failure);
  std::set_terminate(end_program);
  try {
    if (const std::optional<int> code = calm::cli::run_old_name(argc, argv)) {
      return *code;
    }
    return calm::cli::run_app(argc, argv);
  } catch (const calm::cli::ReaderGone &) {
    return 0;  // `calm … | head`: it has all it wanted
  } catch (const calm::Error &e) {
    calm::print_error(e.what());
    if (e.status() == CALM_CANCELLED && calm::SignalScope::received() != 0) {
      return calm::SignalScope::exit_code();
    }
    return calm::exit_code(e.status());
  } catch (const std::bad_alloc &) {
    return out_of_memory();
  } catch (const std::system_error &e) {
    return e.code() == std::errc::not_enough_memory ? out_of_memory() : internal_error(e);
  } catch (const std::exception &e) {
    return internal_error(e);
  }
}
