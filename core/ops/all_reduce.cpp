#include <calm/ops/all_reduce.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// Not pure: every rank must run it as often as the others. No lowering: nothing simpler knows of
// other ranks.
struct AllReduce {
  static constexpr std::uint32_t kTraits = CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;
  static constexpr const char *kDoc = "sum over the ranks of a run; the identity of a single one";

  static std::vector<calm_type> infer(const Call &call) {
    return {real_any(call, CALM_ALL_REDUCE_X, "x")};
  }

  static calm_cost cost(const Call &call) { return {count(call.out(0)), traffic(call)}; }
};

}  // namespace

calm_operator define_all_reduce() { return make_operator<AllReduce>(); }

}  // namespace calm::ops
