#include "core/text/stop.hpp"

#include <gtest/gtest.h>

namespace calm::text {
namespace {

TEST(Stop, WithoutPatternsNothingStops) {
  std::vector<Token> generated = {'a'};
  EXPECT_FALSE(check_stop(generated, 'b', {}));
  EXPECT_FALSE(check_stop(generated, kEos, {}));
}

TEST(Stop, ASpecialNeverMatchesTheByteItWouldTruncateTo) {
  std::vector<Token> generated = {256 + '&'};
  EXPECT_FALSE(check_stop(generated, 256 + ';', {";"}));
  EXPECT_FALSE(check_stop(generated, '&', {"&&"}));
  EXPECT_FALSE(check_stop(generated, -1, {"\xFF"}));
  EXPECT_EQ(generated.size(), 1u);
}

TEST(Stop, TheFirstMatchingPatternDecidesWhatIsRemoved) {
  std::vector<Token> generated = {'x', '|'};
  EXPECT_TRUE(check_stop(generated, '|', parse_stop_conditions("| ||")));
  EXPECT_EQ(generated, (std::vector<Token>{'x', '|'}));
  EXPECT_TRUE(check_stop(generated, '|', parse_stop_conditions("|| |")));
  EXPECT_EQ(generated, std::vector<Token>{'x'});
}

TEST(Stop, PatternsAreSplitAtUnicodeWhiteSpace) {
  EXPECT_EQ(parse_stop_conditions("a\xC2\xA0"
                                  "b\xE3\x80\x80"),
            (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace calm::text
