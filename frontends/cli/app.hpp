#pragma once

namespace calm::cli {

/// Reads the command line, does what it asks for, gives the exit code. Throws Error; a wrong
/// command line is CALM_INVALID_ARGUMENT with a hint.
int run_app(int argc, char **argv);

}  // namespace calm::cli
