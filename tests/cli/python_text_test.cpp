#include "frontends/cli/old/python_text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace calm::cli {
namespace {

// Each as python3 -c 'print(x)' prints it.
TEST(PythonText, FloatsArePositionalInTheMiddleAndKeepAPoint) {
  EXPECT_EQ(python_float(0.003), "0.003");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(1), "1.0");
  EXPECT_EQ(python_float(0), "0.0");
  EXPECT_EQ(python_float(-0.0), "-0.0");
  EXPECT_EQ(python_float(-2.5), "-2.5");
  EXPECT_EQ(python_float(123456789), "123456789.0");
  EXPECT_EQ(python_float(9999999999999998), "9999999999999998.0");
  EXPECT_EQ(python_float(0.1 + 0.2), "0.30000000000000004");
}

TEST(PythonText, SmallAndLargeFloatsHaveAnExponentOfTwoDigits) {
  EXPECT_EQ(python_float(1e-5), "1e-05");
  EXPECT_EQ(python_float(9.9e-5), "9.9e-05");
  EXPECT_EQ(python_float(-1.25e-7), "-1.25e-07");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(1.5e300), "1.5e+300");
  EXPECT_EQ(python_float(5e-324), "5e-324");
}

TEST(PythonText, WhatIsNoNumberHasAName) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(python_float(inf), "inf");
  EXPECT_EQ(python_float(-inf), "-inf");
  EXPECT_EQ(python_float(-nan), "nan");
  EXPECT_EQ(python_fixed(-nan, 4), "nan");
  EXPECT_EQ(python_fixed(inf, 4), "inf");
  EXPECT_EQ(python_fixed(2.00005, 4), "2.0000");
  EXPECT_EQ(python_fixed(-0.00001, 4), "-0.0000");
}

}  // namespace
}  // namespace calm::cli
