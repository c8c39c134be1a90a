#include "infonce.hpp"

#include <calm/ops/columns.h>
#include <calm/ops/cross_entropy.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/l2_normalize.h>
#include <calm/ops/matmul.h>
#include <calm/ops/pool.h>

#include <numeric>
#include <string>
#include <vector>

namespace calm::contrastive {

namespace {

Value scalar(const Builder &builder, double number) {
  const auto narrow = static_cast<float>(number);
  return builder.constant(type_of(builder.real(), {}), builder.real() == CALM_F64
                                                           ? static_cast<const void *>(&number)
                                                           : &narrow);
}

}  // namespace

Value embed(const Builder &builder, Value rows, Value offsets, std::int64_t mode) {
  const Value pooled = builder.op(CALM_OP_POOL, {rows, offsets}, {value("mode", mode)});
  return builder.op(CALM_OP_L2_NORMALIZE, {pooled});
}

// One product of all rows with all rows holds S = q pᵀ twice: its upper right block is S, its lower
// left one Sᵀ. A cross-entropy over each, the other half of the rows masked, is the one over the
// rows and the one over the columns of S, and no tensor has to be cut between rows or transposed.
Value infonce_sum(const Builder &builder, Value rows, double temperature) {
  const std::int64_t sequences = builder.type(rows).shape[0];
  if (sequences % 2 != 0) {
    throw Error(CALM_INVALID_ARGUMENT,
                "objective contrastive: expected as many positives as queries, found " +
                    std::to_string(sequences) + " sequences");
  }
  const std::int64_t pairs = sequences / 2;
  const Value cosines =
      builder.op(CALM_OP_MATMUL, {rows, rows}, {value("transpose_b", true)});  // (2B, 2B)
  const Value logits = builder.op(CALM_OP_DIV, {cosines, scalar(builder, temperature)});
  const std::vector<Value> halves =  // with the queries, with the positives: (2B, B) each
      builder.emit(CALM_OP_SPLIT, {logits}, {value("size0", pairs), value("size1", pairs)});

  std::vector<std::int32_t> of_queries(static_cast<std::size_t>(sequences), -1);
  std::vector<std::int32_t> of_positives = of_queries;
  std::iota(of_queries.begin(), of_queries.begin() + pairs, 0);
  std::iota(of_positives.begin() + pairs, of_positives.end(), 0);
  const auto cross_entropy = [&](Value scores, const std::vector<std::int32_t> &targets) {
    const Value ids = builder.constant(type_of(CALM_I32, {sequences}), targets.data());
    return builder.op(CALM_OP_CROSS_ENTROPY, {scores, ids});
  };
  const Value sum = builder.op(
      CALM_OP_ADD, {cross_entropy(halves[1], of_queries), cross_entropy(halves[0], of_positives)});
  return builder.op(CALM_OP_MUL, {sum, scalar(builder, 0.5)});
}

}  // namespace calm::contrastive
