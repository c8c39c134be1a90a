// What an operator over several ranks does in one process; tests/ranks has more of them.
#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(AllReduce);

Tensors itself(const Case &c) { return {Tensor(c.ins[0])}; }

TEST_P(AllReduce, OfOneProcessIsTheIdentity) {
  expect_values(run(device(), {"all_reduce", {real({3}, {1, -2, 0.5})}})[0], {1, -2, 0.5});
  expect_values(run(device(), {"all_reduce", {real(7)}})[0], {7});
  Case in_place{"all_reduce", {real({2}, {3, 5})}};
  in_place.updates = {{0, 0}};
  expect_values(run(device(), in_place)[0], {3, 5});
}
CALM_COVERS(AllReduce, OfOneProcessIsTheIdentity, kHand, "all_reduce");

TEST_P(AllReduce, AgreesWithTheOracle) {
  for (const Shape &shape : {Shape{}, Shape{1}, Shape{2}, Shape{63}, Shape{64}, Shape{65},
                             Shape{5000}, Shape{5, 7}, Shape{2, 3, 5}}) {
    Case c{"all_reduce", {draw(1, shape)}};
    expect_oracle(device(), c, itself);
    c.updates = {{0, 0}};
    expect_oracle(device(), c, itself);
  }
}
CALM_COVERS(AllReduce, AgreesWithTheOracle, kOracle, "all_reduce");

TEST(AllReduceArguments, AreChecked) {
  expect_refused({"all_reduce", {i32({5})}}, "x: expected an f32 or f64 tensor, found i32[1]");
  expect_refused({"all_reduce", {absent()}}, "x: expected an f32 or f64 tensor, found nothing");
}
CALM_COVERS(AllReduceArguments, AreChecked, kRefused, "all_reduce");

}  // namespace
}  // namespace calm::conformance
