#include <calm/ops/columns.h>

#include "core/ops/common.hpp"

#include <algorithm>

namespace calm::ops {
namespace {

constexpr const char *kSizeNames[CALM_COLUMNS_MAX] = {"size0", "size1", "size2", "size3",
                                                      "size4", "size5", "size6", "size7"};

constexpr calm_value_spec size_spec(std::uint32_t i) {
  return spec_i64(kSizeNames[i], 0, 0, 9007199254740992.0, "columns of this output, 0: none");
}

struct Split {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = CALM_COLUMNS_MAX;
  static constexpr const char *kDoc = "consecutive columns as separate tensors";
  static constexpr calm_value_spec kAttrs[] = {size_spec(0), size_spec(1), size_spec(2),
                                               size_spec(3), size_spec(4), size_spec(5),
                                               size_spec(6), size_spec(7)};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, 0, "x", 2);
    std::vector<calm_type> outs;
    std::int64_t left = x.shape[1];
    bool ended = false;
    for (std::uint32_t i = 0; i < CALM_COLUMNS_MAX; ++i) {
      const std::int64_t size = call.i64(i);
      if (size == 0) {
        ended = true;
        continue;
      }
      Call::expect(!ended, std::string(kSizeNames[i]) + ": expected 0 after a size of 0, found " +
                               std::to_string(size));
      Call::expect(size <= left, std::string(kSizeNames[i]) + ": expected at most " +
                                     std::to_string(left) + " columns, found " +
                                     std::to_string(size));
      left -= size;
      outs.push_back(type_of(x.dtype, {x.shape[0], size}, x.axis0));
    }
    Call::expect(left == 0, "sizes: expected a sum of " + std::to_string(x.shape[1]) + ", found " +
                                std::to_string(x.shape[1] - left));
    return outs;
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (std::none_of(grad_outs.begin(), grad_outs.end(), [](Value v) { return bool(v); })) {
      return {};
    }
    std::vector<Value> parts;
    for (std::uint32_t i = 0; i < grad_outs.size(); ++i) {
      parts.push_back(grad_outs[i] ? grad_outs[i] : zeros_like(builder, call.result(i)));
    }
    return builder.emit(CALM_OP_CONCAT, parts, {});
  }

  static calm_cost cost(const Call &call) { return {0, 2 * traffic(call, 0)}; }
};

struct Concat {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = CALM_COLUMNS_MAX, kMaxOut = 1;
  static constexpr const char *kDoc = "columns of several tensors side by side";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &first = real_ranked(call, 0, "x0", 2);
    std::int64_t columns = 0;
    for (std::uint32_t i = 0; i < call.n_in(); ++i) {
      const std::string name = "x" + std::to_string(i);
      const calm_type &x = real_ranked(call, i, name.c_str(), 2);
      expect_type(call, i, name.c_str(), type_of(first.dtype, {first.shape[0], x.shape[1]}));
      Call::expect(!__builtin_add_overflow(columns, x.shape[1], &columns),
                   name + ": expected fewer columns, found " + describe(x));
    }
    return {type_of(first.dtype, {first.shape[0], columns}, first.axis0)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0]) {
      return {};
    }
    std::vector<calm_value> sizes;
    for (std::uint32_t i = 0; i < call.n_in(); ++i) {
      sizes.push_back(value(kSizeNames[i], call.in(i).shape[1]));
    }
    return builder.emit(CALM_OP_SPLIT, std::span(grad_outs.data(), 1), sizes);
  }

  static calm_cost cost(const Call &call) { return {0, traffic(call)}; }
};

struct Fill {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;
  static constexpr const char *kDoc = "one value everywhere, in the type of like";
  static constexpr calm_value_spec kAttrs[] = {spec_f64("value", 0)};

  static std::vector<calm_type> infer(const Call &call) { return {real_any(call, 0, "like")}; }

  // `like` gives its type only: its gradient is zero.
  static std::vector<Value> gradient(const Builder &, const Call &, std::span<const Value>,
                                     std::span<const std::uint8_t>) {
    return {};
  }

  static calm_cost cost(const Call &call) {
    return {0, static_cast<double>(bytes_of(call.out(0)))};
  }
};

}  // namespace

calm_operator define_split() { return make_operator<Split>(); }
calm_operator define_concat() { return make_operator<Concat>(); }
calm_operator define_fill() { return make_operator<Fill>(); }

}  // namespace calm::ops
