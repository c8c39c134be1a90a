#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

// What the suite holds of each operator. A test claims, beside its definition, the kinds of cases
// it has; coverage_test.cpp fails for an operator without one of each kind, and a test that does
// not exercise what it claims fails itself. Works for one test a process as for all.
namespace calm::conformance {

enum class Kind {
  kHand,      ///< results computed by hand
  kOracle,    ///< a double-precision reference over at least kFewestCases different cases
  kGradient,  ///< finite differences; for operators that have a gradient
  kRefused,   ///< arguments that are refused
};
std::string_view kind_name(Kind kind);

inline constexpr std::size_t kFewestCases = 3;

bool claim(const char *suite, const char *test, Kind kind, std::initializer_list<const char *> ops);

/// Called by the harness, and by tests that compare results in their own way. `what` tells cases
/// apart.
void exercised(Kind kind, const std::string &op, const std::string &what);

/// `CALM_COVERS(Matmul, AgreesWithTheOracle, kOracle, "matmul");` after the test.
#define CALM_COVERS(Suite, Test, kind, ...)                      \
  [[maybe_unused]] const bool kClaim_##Suite##_##Test##_##kind = \
      calm::conformance::claim(#Suite, #Test, calm::conformance::Kind::kind, {__VA_ARGS__})

}  // namespace calm::conformance
