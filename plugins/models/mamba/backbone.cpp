#include "backbone.hpp"

#include <calm/ops/activation.h>
#include <calm/ops/causal_conv_silu.h>
#include <calm/ops/columns.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/gated_silu.h>
#include <calm/ops/layer_norm.h>
#include <calm/ops/matmul.h>
#include <calm/ops/selective_scan.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "init.hpp"

namespace calm::mamba {
namespace {

struct Init {
  calm_init_kind kind = CALM_INIT_ZEROS;
  double args[2] = {0, 0};
  calm_init_fn fill = nullptr;
};

constexpr Init kZeros{CALM_INIT_ZEROS, {0, 0}, nullptr};
constexpr Init kOnes{CALM_INIT_ONES, {0, 0}, nullptr};

constexpr Init normal(double deviation) { return {CALM_INIT_NORMAL, {0, deviation}, nullptr}; }

struct Norm {
  Value weight, bias;  // [d]
};

struct Block {
  Norm ln1;
  Value conv;       // [E, K]
  Value a_log;      // [E, N]
  Value skip;       // [E]
  Value in_proj;    // [2E, d]
  Value x_proj;     // [R + 2N, E]
  Value dt_weight;  // [E, R]
  Value dt_bias;    // [E]
  Value out_proj;   // [d, E]
  Norm ln2;
  Value fc1;  // [F, d]
  Value fc2;  // [d, F]
};

/// Declares and writes one backbone.
class Backbone {
 public:
  Backbone(const Builder &builder, const Config &config, Value offsets)
      : b_(builder), c_(config), offsets_(offsets) {}

  Value build(Value x) const {
    // All blocks are declared before ln_f, whatever the nodes' order: spec E.1 is the parameter
    // order.
    for (std::int64_t i = 0; i < c_.layers; ++i) {
      const std::string name = "blocks." + std::to_string(i);
      const Block block = declare(name);
      const Builder::Scope scope(b_, name);
      x = add(x, mixer(block, name, norm(block.ln1, x, "ln1")));
      x = add(x, feed_forward(block, norm(block.ln2, x, "ln2")));
    }
    return norm(declare_norm("ln_f"), x, "ln_f");
  }

 private:
  Value param(const std::string &name, std::initializer_list<std::int64_t> shape,
              const Init &init) const {
    calm_param p{};
    p.size = sizeof p;
    p.decay = name.ends_with(".A_log") || name.ends_with(".D") ? 0 : 1;  // spec I.8
    p.init = init.kind;
    p.name = str(name);
    p.type = type_of(b_.real(), shape);
    p.args[0] = init.args[0];
    p.args[1] = init.args[1];
    p.fill = init.fill;
    return b_.param(p);
  }

  Norm declare_norm(const std::string &name) const {
    const Value weight = param(name + ".weight", {c_.d}, kOnes);
    const Value bias = param(name + ".bias", {c_.d}, kZeros);
    return {weight, bias};
  }

  Block declare(const std::string &name) const {
    const Init plain = normal(c_.initializer_range);
    // Keeps the variance of the residual stream from growing with depth.
    const Init residual =
        normal(c_.initializer_range / std::sqrt(2.0 * static_cast<double>(c_.layers)));
    const double dt_range = 1.0 / std::sqrt(static_cast<double>(c_.dt_rank));
    const Init dt_weight{CALM_INIT_UNIFORM, {-dt_range, dt_range}, nullptr};
    const Init dt_bias{CALM_INIT_CALLBACK, {c_.peer_dt_init ? 1.0 : 0.0, 0}, fill_dt_bias};
    const Init a_log{CALM_INIT_CALLBACK, {0, 0}, fill_a_log};
    const std::string mixer = name + ".mixer.";
    Block block;
    block.ln1 = declare_norm(name + ".ln1");
    block.conv = param(mixer + "conv1d_weight", {c_.inner, c_.window}, plain);
    block.a_log = param(mixer + "A_log", {c_.inner, c_.state}, a_log);
    block.skip = param(mixer + "D", {c_.inner}, kOnes);
    block.in_proj = param(mixer + "in_proj.weight", {2 * c_.inner, c_.d}, plain);
    block.x_proj = param(mixer + "x_proj.weight", {c_.dt_rank + 2 * c_.state, c_.inner}, plain);
    block.dt_weight = param(mixer + "dt_proj.weight", {c_.inner, c_.dt_rank}, dt_weight);
    block.dt_bias = param(mixer + "dt_proj.bias", {c_.inner}, dt_bias);
    block.out_proj = param(mixer + "out_proj.weight", {c_.d, c_.inner}, residual);
    block.ln2 = declare_norm(name + ".ln2");
    block.fc1 = param(name + ".ffn_fc1.weight", {c_.hidden, c_.d}, plain);
    block.fc2 = param(name + ".ffn_fc2.weight", {c_.d, c_.hidden}, residual);
    return block;
  }

  Value add(Value a, Value b) const { return b_.op(CALM_OP_ADD, {a, b}); }

  // x [T, in], weight [out, in] -> [T, out]
  Value linear(Value x, Value weight) const {
    return b_.op(CALM_OP_MATMUL, {x, weight}, {value("transpose_b", true)});
  }

  Value norm(const Norm &n, Value x, std::string_view name) const {
    const Builder::Scope scope(b_, name);
    return b_.op(CALM_OP_LAYER_NORM, {x, n.weight, n.bias}, {value("eps", c_.epsilon)});
  }

  Value feed_forward(const Block &block, Value x) const {
    const Builder::Scope scope(b_, "ffn");
    return linear(b_.op(CALM_OP_GELU, {linear(x, block.fc1)}), block.fc2);
  }

  Value mixer(const Block &block, const std::string &name, Value u) const {
    const Builder::Scope scope(b_, "mixer");
    const std::vector<Value> xz =  // SSM branch and gate, [T, E] each
        b_.emit(CALM_OP_SPLIT, {linear(u, block.in_proj)},
                {value("size0", c_.inner), value("size1", c_.inner)});

    const std::string conv_name = name + ".conv";
    const std::vector<Value> conv =
        b_.emit(CALM_OP_CAUSAL_CONV_SILU,
                {xz[0], block.conv, offsets_, b_.state_in(conv_name, {c_.inner, c_.window})});
    const Value s = conv[CALM_CAUSAL_CONV_SILU_Y];  // [T, E]
    b_.state_out(conv_name, conv[CALM_CAUSAL_CONV_SILU_STATE_OUT]);

    const std::vector<Value> q =  // step size [T, R], B and C [T, N]
        b_.emit(CALM_OP_SPLIT, {linear(s, block.x_proj)},
                {value("size0", c_.dt_rank), value("size1", c_.state), value("size2", c_.state)});
    const Value delta =
        b_.op(CALM_OP_SOFTPLUS, {add(linear(q[0], block.dt_weight), block.dt_bias)});
    const Value a = b_.op(CALM_OP_NEG, {b_.op(CALM_OP_EXP, {block.a_log})});

    const std::string ssm_name = name + ".ssm";
    const std::vector<Value> scan =
        b_.emit(CALM_OP_SELECTIVE_SCAN, {s, delta, a, q[1], q[2], block.skip, offsets_,
                                         b_.state_in(ssm_name, {c_.inner, c_.state})});
    b_.state_out(ssm_name, scan[CALM_SELECTIVE_SCAN_STATE_OUT]);

    const Value y = b_.op(CALM_OP_GATED_SILU, {scan[CALM_SELECTIVE_SCAN_Y], xz[1]});
    return linear(y, block.out_proj);
  }

  const Builder &b_;
  const Config &c_;
  Value offsets_;  // i32 [S + 1]
};

}  // namespace

Value build_backbone(const Builder &builder, const Config &config, Value rows, Value offsets) {
  return Backbone(builder, config, offsets).build(rows);
}

}  // namespace calm::mamba
