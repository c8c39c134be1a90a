#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <calm/cpp/value.hpp>

#include "tests/core/model_fixture.hpp"

namespace calm::test {
namespace {

const calm_domain &netref() { return model_test::runtime().plugins().domain("netref"); }

bool offered(std::string_view candidate) {
  return netref().filter(str("what is BGP"), str(candidate)) != 0;
}

TEST(NetrefDomain, CarriesTheDefaultsOfItsDomain) {
  const calm_domain &domain = netref();
  EXPECT_EQ(view(domain.template_spec), "BOS;QUERY:input;ATN");
  EXPECT_EQ(view(domain.stop_conditions), "");
  EXPECT_EQ(domain.sampler->temperature, 0.1);
  EXPECT_EQ(domain.sampler->top_k, 5u);
  EXPECT_EQ(domain.sampler->max_tokens, 512u);
  EXPECT_EQ(domain.sampler->candidates, 1u);
}

TEST(NetrefFilter, OffersTextOfSeveralLines) {
  EXPECT_TRUE(offered("A routing protocol.\n\n\tRFC 4271 \xC2\xA7 3\n"));
  EXPECT_TRUE(offered("rm -rf / removes everything"));  // a text, not a command
}

TEST(NetrefFilter, DropsWhatATerminalMustNotSee) {
  for (const char *bad : {"", "\x1b[2J", "a\rb", "a\x7f", "\xC2\x85", "a\xE2\x80\xAE", "\xFF",
                          "a\xEF\xBB\xBF", "\xE2\x82"}) {
    EXPECT_FALSE(offered(bad)) << bad;
  }
}

}  // namespace
}  // namespace calm::test
