#include "tests/conformance/examples.hpp"

#include <cstddef>
#include <utility>

namespace calm::conformance {

namespace {

const Ragged kBatch{{70, 0, 1, 129, 64, 33}, 23};
constexpr std::int64_t kWidth = 40;
constexpr std::int64_t kStates = 8;
constexpr std::int64_t kTaps = 4;
constexpr std::int64_t kClasses = 65;

Array rows(std::uint64_t seed, std::int64_t width = kWidth) {
  return tokens(draw(seed, {kBatch.rows(), width}));
}

Array ids(bool targets) {
  Array out = i32(std::vector<double>(static_cast<std::size_t>(kBatch.rows())));
  for (std::size_t t = 0; t < out.values.size(); ++t) {
    out.values[t] = static_cast<double>(t * 31 % kClasses) - (targets && t % 5 == 0 ? 1 : 0);
    out.values[t] = targets && t % 7 == 0 ? -1 : out.values[t];
  }
  return tokens(out);
}

Array positive(std::uint64_t seed, std::int64_t width = kWidth) {
  return tokens(draw(seed, {kBatch.rows(), width}, 0.25, 2));
}

Case scan(const char *op) {
  return {op,
          {rows(1), positive(2), draw(3, {kWidth, kStates}, -3, -0.1), rows(4, kStates),
           rows(5, kStates), draw(6, {kWidth}), kBatch.offsets()}};
}

void add_rowwise(std::vector<Case> &all) {
  all.push_back({"embedding", {ids(false), draw(1, {kClasses, kWidth})}});
  all.push_back({"embedding_grad", {ids(false), rows(1)}, {value("rows", kClasses)}});
  all.push_back({"matmul", {rows(1), draw(2, {kWidth, 33})}});
  all.push_back({"matmul", {rows(1), rows(2, 33)}, {value("transpose_a", true)}});
  all.push_back({"layer_norm", {rows(1), draw(2, {kWidth}), draw(3, {kWidth})}});
  all.push_back({"layer_norm_grad",
                 {rows(1), draw(2, {kWidth}), draw(3, {kBatch.rows()}),
                  draw(4, {kBatch.rows()}, 0.5, 2), draw_grad(5, kBatch, kWidth)}});
  all.push_back({"cross_entropy", {rows(1, kClasses), ids(true)}});
  all.push_back({"cross_entropy_grad",
                 {rows(1, kClasses), ids(true), draw(2, {kBatch.rows()}, 4, 6), real(0.5)}});
  all.push_back({"gated_silu", {rows(1), rows(2)}});
  all.push_back({"gated_silu_grad", {rows(1), rows(2), rows(3)}});
  for (const char *op : {"gelu", "silu", "softplus", "neg", "exp", "square", "sigmoid", "tanh"}) {
    all.push_back({op, {rows(1)}});
  }
  for (const char *op : {"log", "sqrt"}) {
    all.push_back({op, {positive(1)}});
  }
  for (const char *op : {"gelu_grad", "silu_grad", "softplus_grad", "add", "sub", "mul"}) {
    all.push_back({op, {rows(1), rows(2)}});
  }
  all.push_back({"div", {rows(1), positive(2)}});
  for (const int axis : {-1, 0, 1}) {
    all.push_back({"sum", {rows(1)}, {value("axis", axis)}});
  }
  all.push_back({"broadcast", {draw(1, {kWidth}), rows(2)}, {value("axis", 0)}});
  all.push_back({"split", {rows(1)}, {value("size0", 8), value("size1", 30), value("size2", 2)}});
  all.push_back({"concat", {rows(1), rows(2, 3)}});
  all.push_back({"fill", {rows(1)}, {value("value", 0.5)}});
  all.push_back({"cast", {rows(1)}, {value("dtype", std::int64_t{CALM_F32})}});
}

void add_sequencewise(std::vector<Case> &all) {
  const Array filter = draw(2, {kWidth, kTaps});
  all.push_back(
      {"causal_conv_silu",
       {rows(1), filter, kBatch.offsets(), draw(3, {kBatch.sequences(), kWidth, kTaps})}});
  all.push_back(
      {"causal_conv_silu_grad", {rows(1), filter, kBatch.offsets(), draw_grad(3, kBatch, kWidth)}});
  Case forward = scan("selective_scan");
  forward.ins.push_back(draw(7, {kBatch.sequences(), kWidth, kStates}));
  all.push_back(forward);
  Case backward = scan("selective_scan_grad");
  backward.ins.push_back(draw(7, {(kBatch.rows() + 63) / 64, kWidth, kStates}));
  backward.ins.push_back(draw_grad(8, kBatch, kWidth));
  all.push_back(backward);
  all.push_back({"pool", {rows(1), kBatch.offsets()}, {value("mode", 0)}});
  all.push_back({"pool_grad",
                 {rows(1), kBatch.offsets(), draw(2, {kBatch.sequences(), kWidth})},
                 {value("mode", 0)}});
}

void add_updates_and_draws(std::vector<Case> &all) {
  const Array flat = draw(1, {10007});
  all.push_back({"accumulate", {flat, draw(2, {10007}), scalar_i32(0)}});
  all.push_back({"global_norm", {flat, rows(2)}, {value("max_norm", 1.0)}});
  all.push_back({"all_reduce", {flat}});
  all.push_back({"guard", {scalar_i32(0), scalar_i32(1)}});
  all.push_back({"adamw",
                 {flat, draw(2, {10007}), draw(3, {10007}), draw(4, {10007}, 0, 1), real(0.125),
                  real(0.5), real(0.25), real(0.5), scalar_i32(1)}});
  all.push_back({"record", {draw(1, {5, 2}), scalar_i32(3), real(1), scalar_i32(2)}});
  for (const char *op : {"random_uniform", "random_normal"}) {
    all.push_back({op, {rows(1), scalar_i64(7), scalar_i32(2), scalar_i32(3)}});
  }
  all.push_back({"sample",
                 {rows(1, kClasses), real(0.75), scalar_i32(20), real(0.875), real(0.03125),
                  scalar_i64(7), scalar_i32(1)}});
}

std::vector<Case> &added() {
  static std::vector<Case> cases;
  return cases;
}

}  // namespace

bool add_example(Case example) {
  added().push_back(std::move(example));
  return true;
}

std::vector<Case> examples() {
  std::vector<Case> all = added();
  add_rowwise(all);
  add_sequencewise(all);
  add_updates_and_draws(all);
  return all;
}

}  // namespace calm::conformance
