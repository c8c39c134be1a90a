#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/signals.hpp"
#include "frontends/cli/app.hpp"

// The border where exceptions end: one line on stderr and an exit code by the one table of base.h.
int main(int argc, char **argv) {
  try {
    return calm::cli::run_app(argc, argv);
  } catch (const calm::Error &e) {
    calm::print_error(e.what());
    if (e.status() == CALM_CANCELLED && calm::SignalScope::received() != 0) {
      return calm::SignalScope::exit_code();
    }
    return calm::exit_code(e.status());
  } catch (const std::bad_alloc &) {
    calm::print_error("memory ran out");
    return calm::exit_code(CALM_OUT_OF_MEMORY);
  } catch (const std::exception &e) {
    calm::print_error(std::string("internal error: ") + e.what());
    return calm::exit_code(CALM_INTERNAL);
  }
}
