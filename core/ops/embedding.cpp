#include <calm/ops/embedding.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct Embedding {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "rows of a table: rows[t] = table[ids[t]]";

  static std::vector<calm_type> infer(const Call &call) {
    call.expect_in(CALM_EMBEDDING_IDS, "ids",
                   call.has(CALM_EMBEDDING_IDS) && call.in(CALM_EMBEDDING_IDS).dtype == CALM_I32 &&
                       call.in(CALM_EMBEDDING_IDS).rank == 1 &&
                       has_extents(call.in(CALM_EMBEDDING_IDS)),
                   "i32 [rows]");
    const calm_type &ids = call.in(CALM_EMBEDDING_IDS);
    const calm_type &table = real_ranked(call, CALM_EMBEDDING_TABLE, "table", 2);
    return {type_of(table.dtype, {ids.shape[0], table.shape[1]}, ids.axis0)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    if (!grad_outs[0] || wanted[CALM_EMBEDDING_TABLE] == 0) {
      return {};
    }
    return {Value{},
            builder.op(CALM_OP_EMBEDDING_GRAD, {call.arg(CALM_EMBEDDING_IDS), grad_outs[0]},
                       {value("rows", call.in(CALM_EMBEDDING_TABLE).shape[0])})};
  }

  // Only the rows that are used are read.
  static calm_cost cost(const Call &call) {
    return {0, static_cast<double>(bytes_of(call.in(CALM_EMBEDDING_IDS))) +
                   2 * static_cast<double>(bytes_of(call.out(0)))};
  }
};

struct EmbeddingGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_REDUCES_ROWS | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "gradient of embedding's table: rows of equal id added up";
  static constexpr calm_value_spec kAttrs[] = {
      required(spec_i64("rows", 0, 1, 2147483647, "rows of the table"))};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &grad = real_ranked(call, CALM_EMBEDDING_GRAD_GRAD, "grad", 2);
    expect_type(call, CALM_EMBEDDING_GRAD_IDS, "ids", per_row(CALM_I32, grad));
    return {type_of(grad.dtype, {call.i64(CALM_EMBEDDING_GRAD_ROWS), grad.shape[1]})};
  }

  static calm_cost cost(const Call &call) {
    return {count(call.in(CALM_EMBEDDING_GRAD_GRAD)), traffic(call)};
  }
};

}  // namespace

calm_operator define_embedding() { return make_operator<Embedding>(); }
calm_operator define_embedding_grad() { return make_operator<EmbeddingGrad>(); }

}  // namespace calm::ops
