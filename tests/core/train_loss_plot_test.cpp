#include "core/train/loss_plot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

namespace calm::train {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string &text, const std::string &piece) {
  std::size_t n = 0;
  for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1))
    ++n;
  return n;
}

// Of what the picture uses of XML: every element is closed, every attribute quoted.
void expect_well_formed(const std::string &svg) {
  std::vector<std::string> open;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const std::size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"'), 2 * std::count(tag.begin(), tag.end(), '='))
        << tag;
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(LossPlot, LinesAxesAndNamesAreThere) {
  const std::string svg = loss_svg(std::vector<LossPoint>{{10, 5.5}, {20, 4.5}, {30, 4.25}},
                                   std::vector<LossPoint>{{15, 5.0}, {30, 4.4}});
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<polyline"), 2u);
  EXPECT_EQ(count(svg, "<circle"), 2u);
  EXPECT_THAT(svg, HasSubstr(">training</text>"));
  EXPECT_THAT(svg, HasSubstr(">validation</text>"));
  // Round numbers: 0, 5 … 30 updates, 4.0, 4.5 … 5.5 nats.
  EXPECT_THAT(svg, HasSubstr(">25</text>"));
  EXPECT_THAT(svg, HasSubstr(">4.5</text>"));
  EXPECT_THAT(svg, HasSubstr(">5.5</text>"));
}

TEST(LossPlot, OnePointIsADot) {
  const std::string svg = loss_svg(std::vector<LossPoint>{{1, 5.0}}, {});
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<circle"), 1u);
  EXPECT_THAT(svg, Not(HasSubstr("validation")));
}

TEST(LossPlot, NothingAndNonsenseStillGiveAPicture) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  expect_well_formed(loss_svg({}, {}));
  expect_well_formed(loss_svg(std::vector<LossPoint>{{1, nan}, {2, inf}}, {}));
  expect_well_formed(loss_svg(std::vector<LossPoint>{{1, nan}, {2, 1e30}, {3, -4}}, {}));
  expect_well_formed(loss_svg(std::vector<LossPoint>{{0, 0}, {0, 0}}, {}));
  expect_well_formed(loss_svg(std::vector<LossPoint>{{18446744073709551615ULL, 1e-30}}, {}));
}

TEST(LossPlot, ALongHistoryStaysSmall) {
  std::vector<LossPoint> points;
  for (std::uint64_t i = 1; i <= 100000; ++i) points.push_back({i, 1.0 / static_cast<double>(i)});
  const std::string svg = loss_svg(points, {});
  EXPECT_LT(svg.size(), 40000u);
  expect_well_formed(svg);
}

}  // namespace
}  // namespace calm::train
