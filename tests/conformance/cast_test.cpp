#include <limits>

#include "tests/conformance/encode.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Cast);
CALM_ON_EVERY_F64_BACKEND(CastGradient);

// Ties, values between neighbours, subnormals of bf16, the largest numbers, infinities.
Array corners() {
  const double inf = std::numeric_limits<double>::infinity();
  return real({14}, {0, -0.0, 1, -1.5, 0x1.01p0, 0x1.03p0, 0x1.0101p0, 0x1.fffffep-1, 1e-40,
                     -3.25e-39, 0x1.fffffep127, 65504, inf, -inf});
}

Case cast(const Array &x, calm_dtype dtype) {
  return {"cast", {x}, {value("dtype", std::int64_t{dtype})}};
}

Array with_dtype(Array x, calm_dtype dtype) {
  x.dtype = dtype;
  return x;
}

// What a value becomes on its way through a dtype.
double rounded(calm_dtype dtype, double x) { return decode(dtype, encode(dtype, {x}))[0]; }

void expect_exact(Device &device, const Array &x, calm_dtype to) {
  const Array got = run(device, cast(x, to))[0];
  exercised(Kind::kOracle, "cast", describe(type_of(x, device.real())) + std::to_string(to));
  EXPECT_EQ(got.dtype, to);
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const double from = rounded(x.dtype, x.values[i]);
    const double want = rounded(to, from);
    EXPECT_EQ(got.values[i], want) << "from " << from << " to " << dtype_name(to);
    EXPECT_EQ(std::signbit(got.values[i]), std::signbit(want)) << from;
  }
}

TEST_P(Cast, TiesGoToTheEvenNeighbour) {
  // bf16 keeps 7 bits behind the point: its neighbours of 1 + 2^-8 are 1 and 1 + 2^-7.
  const Array x = real({4}, {0x1.01p0, 0x1.03p0, 0x1.0101p0, -0x1.03p0});
  EXPECT_EQ(run(device(), cast(x, CALM_BF16))[0].values,
            (std::vector<double>{1, 0x1.04p0, 0x1.02p0, -0x1.04p0}));
}
CALM_COVERS(Cast, TiesGoToTheEvenNeighbour, kHand, "cast");

TEST_P(Cast, RoundsToNearestEven) {
  const calm_dtype real = device().real();
  for (const calm_dtype to : {CALM_F32, CALM_F64, CALM_BF16}) {
    expect_exact(device(), with_dtype(corners(), real), to);
    expect_exact(device(), with_dtype(draw(1, {129}), real), to);
    expect_exact(device(), with_dtype(corners(), CALM_BF16), to);
  }
}
CALM_COVERS(Cast, RoundsToNearestEven, kOracle, "cast");

TEST_P(Cast, TakesIntegers) {
  for (const calm_dtype to : {CALM_F32, CALM_F64, CALM_BF16}) {
    expect_exact(device(), i32({0, -1, 257, 16777217, 2147483647, -2147483648.0}), to);
  }
}

TEST_P(Cast, KeepsNan) {
  const Array x =
      with_dtype(real({1}, {std::numeric_limits<double>::quiet_NaN()}), device().real());
  for (const calm_dtype to : {CALM_F32, CALM_F64, CALM_BF16}) {
    EXPECT_TRUE(std::isnan(run(device(), cast(x, to))[0].values[0])) << dtype_name(to);
  }
}

TEST_P(CastGradient, AgreesWithFiniteDifferences) {
  const Oracle identity = [](const Case &c) { return Tensors{Tensor(c.ins[0])}; };
  expect_gradient(device(), cast(draw(1, {5, 3}), CALM_F64), identity, {0});
}
CALM_COVERS(CastGradient, AgreesWithFiniteDifferences, kGradient, "cast");

TEST(CastArguments, AreChecked) {
  expect_refused(cast(draw(1, {2}), CALM_I32), "dtype: expected f32, f64 or bf16, found i32");
  expect_refused(cast(draw(1, {2}), CALM_F16), "dtype: expected f32, f64 or bf16, found f16");
  expect_refused(cast(scalar_i64(1), CALM_F32),
                 "x: expected an f32, f64, bf16 or i32 tensor, found i64[]");
  expect_refused({"cast", {draw(1, {2})}}, "attribute dtype is missing");
}
CALM_COVERS(CastArguments, AreChecked, kRefused, "cast");

}  // namespace
}  // namespace calm::conformance
