// The selective scan of a block with its step-size projection in front and its gate behind, as the
// mamba backbone emits them, becomes one node; what their gradients do becomes another.
#include <calm/ops/activation.h>
#include <calm/ops/columns.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/gated_silu.h>
#include <calm/ops/matmul.h>
#include <calm/ops/reduce.h>
#include <calm/ops/selective_scan.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include "cuda/fuse.hpp"
#include "cuda/fused.hpp"
#include "cuda/kernel_table.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint32_t kNone = CALM_NONE;

/// Node numbers; values of the forward part by name.
struct Forward {
  std::uint32_t split, project, bias, softplus, exp, neg, scan, gate;
  std::uint32_t q, rank, b, c;  // the split's input and its three parts
  std::uint32_t before, delta;  // softplus
  std::uint32_t decay, a;       // exp(a_log), -exp(a_log)
  std::uint32_t y, bounds;
  std::vector<std::uint32_t> parts() const {
    return {project, bias, softplus, exp, neg, scan, gate};
  }
};

struct Backward {
  std::uint32_t gate, scan, neg, mul, softplus, sum, rank, weight, join;
  std::vector<std::uint32_t> parts() const {
    return {gate, scan, neg, mul, softplus, sum, rank, weight, join};
  }
};

bool is_transposed(const Node &node, bool a, bool b) {
  return (node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0) == a &&
         (node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 != 0) == b;
}

std::optional<Forward> find_forward(const Fusion &f, Graph &graph, std::uint32_t gate) {
  Forward m{};
  m.gate = gate;
  m.y = f.in(gate, CALM_GATED_SILU_Y);
  m.scan = f.maker(m.y);
  if (!f.is(m.scan, CALM_OP_SELECTIVE_SCAN) ||
      f.in(m.scan, CALM_SELECTIVE_SCAN_STATE_IN) != kNone ||
      f.out(m.scan, CALM_SELECTIVE_SCAN_STATE_OUT) != kNone ||
      f.out(m.scan, CALM_SELECTIVE_SCAN_Y) != m.y) {
    return std::nullopt;
  }
  m.bounds = f.out(m.scan, CALM_SELECTIVE_SCAN_BOUNDS);
  m.delta = f.in(m.scan, CALM_SELECTIVE_SCAN_DELTA);
  m.softplus = f.maker(m.delta);
  if (!f.is(m.softplus, CALM_OP_SOFTPLUS)) {
    return std::nullopt;
  }
  m.before = f.in(m.softplus, CALM_ACTIVATION_X);
  m.bias = f.maker(m.before);
  if (!f.is(m.bias, CALM_OP_ADD) || graph.nodes[m.bias].ins[1].rank != 1) {
    return std::nullopt;
  }
  m.project = f.maker(f.in(m.bias, 0));
  if (!f.is(m.project, CALM_OP_MATMUL) || !is_transposed(graph.nodes[m.project], false, true) ||
      !f.only_for(f.in(m.bias, 0), {m.bias})) {
    return std::nullopt;
  }
  m.a = f.in(m.scan, CALM_SELECTIVE_SCAN_A);
  m.neg = f.maker(m.a);
  if (!f.is(m.neg, CALM_OP_NEG)) {
    return std::nullopt;
  }
  m.decay = f.in(m.neg, 0);
  m.exp = f.maker(m.decay);
  if (!f.is(m.exp, CALM_OP_EXP)) {
    return std::nullopt;
  }
  m.rank = f.in(m.project, CALM_MATMUL_A);
  m.b = f.in(m.scan, CALM_SELECTIVE_SCAN_B);
  m.c = f.in(m.scan, CALM_SELECTIVE_SCAN_C);
  m.split = f.maker(m.rank);
  if (!f.is(m.split, CALM_OP_SPLIT) || graph.nodes[m.split].outs.size() != 3 ||
      f.out(m.split, 0) != m.rank || f.out(m.split, 1) != m.b || f.out(m.split, 2) != m.c) {
    return std::nullopt;
  }
  m.q = f.in(m.split, 0);
  return m;
}

/// Nothing where one of them is missing or has other readers.
std::optional<Backward> find_backward(const Fusion &f, const Forward &m, Graph &graph) {
  Backward g{};
  g.rank = g.weight = kNone;
  g.gate = f.user(m.y, CALM_OP_GATED_SILU_GRAD);
  g.scan = f.user(m.delta, CALM_OP_SELECTIVE_SCAN_GRAD);
  g.softplus = f.user(m.before, CALM_OP_SOFTPLUS_GRAD);
  g.mul = f.user(m.decay, CALM_OP_MUL);
  for (const std::uint32_t n : {g.gate, g.scan, g.softplus, g.mul}) {
    if (n == kNone) {
      return std::nullopt;
    }
  }
  const std::uint32_t before = f.out(g.softplus, 0);  // gradient in front of softplus
  g.sum = f.user(before, CALM_OP_SUM);
  for (const std::uint32_t n : f.users(before)) {
    if (f.is(n, CALM_OP_MATMUL)) {
      (graph.nodes[n].attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0 ? g.weight : g.rank) = n;
    }
  }
  if (g.sum == kNone || g.weight == kNone || g.rank == kNone) {
    return std::nullopt;
  }
  g.neg = f.user(f.out(g.scan, 2), CALM_OP_NEG);
  g.join = f.user(f.out(g.rank, 0), CALM_OP_CONCAT);
  if (g.neg == kNone || g.join == kNone) {
    return std::nullopt;
  }
  const bool joined = f.in(g.join, 0) == f.out(g.rank, 0) && f.in(g.join, 1) == f.out(g.scan, 3) &&
                      f.in(g.join, 2) == f.out(g.scan, 4) && graph.nodes[g.join].ins.size() == 3 &&
                      f.in(g.rank, 0) == before && f.in(g.weight, 0) == before &&
                      f.in(g.weight, 1) == m.rank && f.in(g.rank, 1) == f.in(m.project, 1) &&
                      f.in(g.scan, CALM_SELECTIVE_SCAN_GRAD_GRAD) == f.out(g.gate, 0) &&
                      f.in(g.scan, CALM_SELECTIVE_SCAN_GRAD_BOUNDS) == m.bounds &&
                      f.in(g.softplus, CALM_ACTIVATION_GRAD) == f.out(g.scan, 1) &&
                      graph.nodes[g.sum].attrs[CALM_REDUCE_AXIS].i64 == 0 &&
                      is_transposed(graph.nodes[g.rank], false, false) &&
                      is_transposed(graph.nodes[g.weight], true, false);
  if (!joined) {
    return std::nullopt;
  }
  if (f.in(g.mul, 0) != f.out(g.neg, 0) && f.in(g.mul, 1) != f.out(g.neg, 0)) {
    return std::nullopt;
  }
  const std::vector<std::uint32_t> parts = g.parts();
  for (const std::uint32_t value : {f.out(g.scan, 0), f.out(g.gate, 1)}) {
    if (!f.read_after(value, *std::max_element(parts.begin(), parts.end()))) {
      return std::nullopt;
    }
  }
  for (const std::uint32_t value :
       {f.out(g.gate, 0), f.out(g.scan, 1), f.out(g.scan, 2), f.out(g.scan, 3), f.out(g.scan, 4),
        f.out(g.neg, 0), before, f.out(g.rank, 0)}) {
    if (!f.only_for(value, parts)) {
      return std::nullopt;
    }
  }
  return g;
}

/// Whether nobody but the merged nodes reads what will not be there.
bool closed(const Fusion &f, const Forward &m, const std::optional<Backward> &g) {
  std::vector<std::uint32_t> readers = m.parts();
  if (g) {
    const std::vector<std::uint32_t> more = g->parts();
    readers.insert(readers.end(), more.begin(), more.end());
  }
  for (const std::uint32_t value :
       {m.before, m.delta, m.decay, m.a, m.y, m.bounds, m.rank, m.b, m.c}) {
    if (!f.only_for(value, readers)) {
      return false;
    }
  }
  return true;
}

bool has_kernel(Node node) {
  try {
    choose_kernel(node);
    return true;
  } catch (const Error &e) {
    if (e.status() == CALM_UNSUPPORTED) {
      return false;
    }
    throw;
  }
}

/// A new f32 [rows, columns]. With an axis it is an activation: stored as bf16 where others are.
std::uint32_t add_matrix(Graph &graph, calm_axis axis, std::int64_t rows, std::int64_t columns) {
  calm_type type{};
  type.dtype = CALM_F32;
  type.rank = 2;
  type.axis0 = axis;
  type.shape[0] = rows;
  type.shape[1] = columns;
  return graph.add_temporary(type);
}

void fuse_mixer(Fusion &f, std::uint32_t gate, std::vector<Node> &late) {
  Graph &graph = f.graph();
  const std::optional<Forward> m = find_forward(f, graph, gate);
  if (!m) {
    return;
  }
  const std::optional<Backward> g = find_backward(f, *m, graph);
  if (!closed(f, *m, g)) {
    return;
  }
  const std::vector<std::uint32_t> ins = {
      f.in(m->scan, CALM_SELECTIVE_SCAN_X),
      m->q,
      f.in(gate, CALM_GATED_SILU_Z),
      f.in(m->project, CALM_MATMUL_B),
      f.in(m->bias, 1),
      f.in(m->exp, 0),
      f.in(m->scan, CALM_SELECTIVE_SCAN_D),
      f.in(m->scan, CALM_SELECTIVE_SCAN_OFFSETS),
  };
  const std::int64_t rows = graph.values[m->y].type.shape[0];
  const std::int64_t channels = graph.values[m->y].type.shape[1];
  const std::int64_t states = graph.values[m->a].type.shape[1];
  const std::int64_t rank = graph.values[m->rank].type.shape[1];
  const std::uint32_t delta = add_matrix(graph, CALM_AXIS_NONE, rows, channels);
  const std::uint32_t before =
      g ? add_matrix(graph, CALM_AXIS_TOKENS, mixer_pieces(rows, kMixerGroup),
                     (states + 1) / 2 * 2 * channels)
        : kNone;
  Node merged = make_node(graph, f.node(gate), kMixer, ins,
                          {f.out(gate, 0), g ? m->y : kNone, before, delta});
  merged.attrs = {value("piece", mixer_piece(rows, channels))};
  if (!has_kernel(merged)) {
    return;
  }
  std::vector<std::uint32_t> parts = m->parts();
  parts.push_back(m->split);
  if (g) {
    const std::int64_t piece = mixer_grad_piece(rows, channels);
    const std::uint32_t part = add_matrix(graph, CALM_AXIS_NONE, mixer_pieces(rows, piece),
                                          channels * (states + 2 + rank));
    std::vector<std::uint32_t> grad_ins = ins;
    for (const std::uint32_t id : {m->y, before, delta, f.in(g->gate, CALM_GATED_SILU_GRAD_GRAD)}) {
      grad_ins.push_back(id);
    }
    late.push_back(sum_columns_node(graph, f.node(g->scan), part,
                                    {{f.out(g->mul, 0), channels * states},
                                     {f.out(g->scan, 5), channels},
                                     {f.out(g->sum, 0), channels},
                                     {f.out(g->weight, 0), channels * rank}}));
    Node grad = make_node(graph, f.node(g->scan), kMixerGrad, std::move(grad_ins),
                          {f.out(g->scan, 0), f.out(g->join, 0), f.out(g->gate, 1), part});
    grad.attrs = {value("piece", piece)};
    f.replace(g->parts(), std::move(grad));
  }
  f.replace(parts, std::move(merged));
}

}  // namespace

void fuse_mixers(Fusion &fusion, std::vector<Node> &late) {
  for (std::uint32_t n = 0; n < fusion.count(); ++n) {
    if (fusion.is(n, CALM_OP_GATED_SILU)) {
      fuse_mixer(fusion, n, late);
    }
  }
}

}  // namespace calm::cuda
