#include "core/text/stop.hpp"

#include "tests/parity/text_golden.hpp"

namespace calm::text {
namespace {

TEST(StopParity, EveryGoldenSpecificationGivesItsPatterns) {
  for (const auto &golden_case : golden::json("stop.json", "parse")) {
    SCOPED_TRACE(golden_case.dump());
    std::vector<std::vector<Token>> patterns;
    for (const auto &pattern : parse_stop_conditions(golden_case["spec"].get<std::string>())) {
      patterns.push_back(encode(pattern));
    }
    EXPECT_EQ(nlohmann::json(patterns), golden_case["patterns"]);
  }
}

TEST(StopParity, EveryGoldenCheckAgreesAndLeavesTheSameTokens) {
  for (const auto &golden_case : golden::json("stop.json", "check")) {
    SCOPED_TRACE(golden_case.dump());
    std::vector<Token> generated = golden::ids(golden_case["generated"]);
    const auto patterns = parse_stop_conditions(golden_case["spec"].get<std::string>());
    EXPECT_EQ(check_stop(generated, golden_case["next"].get<Token>(), patterns),
              golden_case["stop"].get<bool>());
    EXPECT_EQ(generated, golden::ids(golden_case["generated_after"]));
  }
}

}  // namespace
}  // namespace calm::text
