#include "tests/conformance/coverage.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/ops/table.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {

namespace {

struct Claim {
  std::string test;  // "Suite.Test"
  Kind kind;
  std::string op;
};

std::vector<Claim> &claims() {
  static std::vector<Claim> all;
  return all;
}

using Exercised = std::map<std::pair<Kind, std::string>, std::set<std::string>>;
Exercised &exercised_now() {
  static Exercised now;
  return now;
}

// "Prefix/Suite" and "Test/backend" of a parametrised test without either.
std::string plain_name(const std::string &suite, const std::string &test) {
  const std::size_t slash = suite.find('/');
  return (slash == std::string::npos ? suite : suite.substr(slash + 1)) + "." +
         test.substr(0, test.find('/'));
}

class Auditor : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo &) override { exercised_now().clear(); }
  void OnTestEnd(const testing::TestInfo &info) override {
    if (!info.result()->Passed()) {
      return;
    }
    const std::string name = plain_name(info.test_suite_name(), info.name());
    for (const Claim &claim : claims()) {
      if (claim.test != name) {
        continue;
      }
      const std::size_t cases = exercised_now()[{claim.kind, claim.op}].size();
      EXPECT_GE(cases, claim.kind == Kind::kOracle ? kFewestCases : 1u)
          << name << " claims " << kind_name(claim.kind) << " of " << claim.op;
    }
  }
};

[[maybe_unused]] const bool kAuditing = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Auditor);
  return true;
}();

bool is_claimed(std::string_view op, Kind kind) {
  for (const Claim &claim : claims()) {
    if (claim.op == op && claim.kind == kind) {
      return true;
    }
  }
  return false;
}

TEST(Coverage, EveryOperatorHasEveryKindOfCase) {
  for (const ops::OperatorEntry &entry : ops::operators()) {
    for (const Kind kind : {Kind::kHand, Kind::kOracle, Kind::kGradient, Kind::kRefused}) {
      if (kind != Kind::kGradient || entry.table.gradient != nullptr) {
        EXPECT_TRUE(is_claimed(entry.id, kind)) << entry.id << " has no " << kind_name(kind);
      }
    }
  }
}

TEST(Coverage, ClaimsAreOfTestsAndOperatorsThatExist) {
  if (f64_targets().empty()) {
    GTEST_SKIP() << "no backend with f64 was asked for, and tests of gradients need one";
  }
  std::set<std::string> tests;
  const testing::UnitTest &all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite &suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      tests.insert(plain_name(suite.name(), suite.GetTestInfo(t)->name()));
    }
  }
  for (const Claim &claim : claims()) {
    EXPECT_EQ(tests.count(claim.test), 1u) << claim.test;
    EXPECT_NE(ops::find_operator(claim.op, 1), nullptr) << claim.op;
  }
}

}  // namespace

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kHand:
      return "case computed by hand";
    case Kind::kOracle:
      return "comparison with a double-precision reference";
    case Kind::kGradient:
      return "gradient by finite differences";
    case Kind::kRefused:
      return "refused argument";
  }
  return "case";
}

bool claim(const char *suite, const char *test, Kind kind,
           std::initializer_list<const char *> ops) {
  for (const char *op : ops) {
    claims().push_back({std::string(suite) + "." + test, kind, op});
  }
  return true;
}

void exercised(Kind kind, const std::string &op, const std::string &what) {
  exercised_now()[{kind, op}].insert(what);
}

}  // namespace calm::conformance
