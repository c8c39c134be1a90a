#include <string>

#include "tests/conformance/harness.hpp"

namespace calm::conformance {

TEST(Device, ABackendThatWasBuiltHasOneOrSaysWhyNot) {
  std::string skipped;
  for (const auto &[id, reason] : without_device()) {
    EXPECT_NE(reason, "") << id;
    skipped += (skipped.empty() ? "" : "; ") + id + " skipped: " + reason;
  }
  if (!skipped.empty()) {
    GTEST_SKIP() << skipped;
  }
}

}  // namespace calm::conformance
