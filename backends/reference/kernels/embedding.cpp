// rows[t] = table[ids[t]]; table gradient out[v] = sum of grad[t] over t with ids[t] = v, in order
// of t, added up in double: a frequent byte occurs in thousands of rows.
#include <calm/ops/embedding.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <string>

#include "../parallel.hpp"

namespace calm::reference {

template <class Real>
void embedding(const Call &call) {
  const auto *const ids = call.in<std::int32_t>(CALM_EMBEDDING_IDS);
  const Real *const table = call.in<Real>(CALM_EMBEDDING_TABLE);
  const std::size_t d = call.extent(CALM_EMBEDDING_TABLE, 1);
  Real *const rows = call.out<Real>(0);
  if (rows == nullptr) {
    return;
  }
  for_blocks(call, call.extent(CALM_EMBEDDING_IDS, 0), row_block(d), static_cast<double>(d),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 std::copy_n(table + static_cast<std::size_t>(ids[t]) * d, d, rows + t * d);
               }
             });
}

namespace {

constexpr std::size_t kColumns = 16;  // of a shard

}  // namespace

template <class Real>
std::size_t embedding_grad_plan(const Node &node) {
  const std::int64_t rows = node.attrs[CALM_EMBEDDING_GRAD_ROWS].i64;
  if (rows < 0 ||
      (!node.outs.empty() && node.outs[0].dtype != 0 && node.outs[0].shape[0] != rows)) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected a result of attribute rows (" + std::to_string(rows) + ") rows");
  }
  const std::size_t d = node.extent(CALM_EMBEDDING_GRAD_GRAD, 1);
  Scratch scratch;
  scratch.take<double>(static_cast<std::size_t>(rows) * div_up(d, kColumns) * kColumns);
  return scratch.used();
}

template <class Real>
void embedding_grad(const Call &call) {
  const auto *const ids = call.in<std::int32_t>(CALM_EMBEDDING_GRAD_IDS);
  const Real *const grad = call.in<Real>(CALM_EMBEDDING_GRAD_GRAD);
  const std::size_t rows = call.extent(CALM_EMBEDDING_GRAD_IDS, 0);
  const std::size_t d = call.extent(CALM_EMBEDDING_GRAD_GRAD, 1);
  const auto vocab = static_cast<std::size_t>(call.i64(CALM_EMBEDDING_GRAD_ROWS));
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_shards(call, div_up(d, kColumns), 2 * static_cast<double>(rows) * static_cast<double>(d),
             [&](std::size_t shard, auto) CALM_LAMBDA {
               const std::size_t first = shard * kColumns;
               const std::size_t columns = std::min(kColumns, d - first);
               Scratch scratch(call.scratch());
               double *const sums = scratch.take<double>(0) + shard * vocab * kColumns;
               std::fill_n(sums, vocab * kColumns, 0.0);
               for (std::size_t t = 0; t < rows; ++t) {
                 double *const sum = sums + static_cast<std::size_t>(ids[t]) * kColumns;
                 for (std::size_t i = 0; i < columns; ++i) {
                   sum[i] += static_cast<double>(grad[t * d + first + i]);
                 }
               }
               for (std::size_t v = 0; v < vocab; ++v) {
                 for (std::size_t i = 0; i < columns; ++i) {
                   out[v * d + first + i] = static_cast<Real>(sums[v * kColumns + i]);
                 }
               }
             });
}

CALM_KERNEL(embedding);
CALM_PLANNED_KERNEL(embedding_grad);

}  // namespace calm::reference
