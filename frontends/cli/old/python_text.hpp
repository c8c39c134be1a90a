#pragma once

#include <string>

namespace calm::cli {

/// A float as Python's str() writes it: the shortest digits that read back the same, positional
/// for 1e-4 <= |x| < 1e16, else with an exponent of at least two digits ("1e-05"); whole numbers
/// keep ".0" (spec I.13).
std::string python_float(double value);

/// As Python's "%.Nf": not-a-number has no sign.
std::string python_fixed(double value, int digits);

}  // namespace calm::cli
