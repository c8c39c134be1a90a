#include "cuda/fuse.hpp"

#include <calm/ops/activation.h>
#include <calm/ops/causal_conv_silu.h>
#include <calm/ops/cross_entropy.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/layer_norm.h>
#include <calm/ops/matmul.h>
#include <calm/ops/optimizer.h>

#include <calm/cpp/value.hpp>

#include <algorithm>
#include <string>
#include <utility>

#include "cuda/blas.hpp"
#include "cuda/fused.hpp"
#include "cuda/kernels/product.hpp"

namespace calm::cuda {
namespace {

/// Sums over rows are left as parts of them by the kernel; one launch adds up those of all nodes.
void leave_sums(Fusion &fusion, std::uint32_t n, const std::string &op, std::uint32_t added,
                calm_type parts, const std::vector<Piece> &pieces, std::vector<Node> &late) {
  Graph &graph = fusion.graph();
  const Node &node = fusion.node(n);
  std::vector<std::uint32_t> ins(
      node.operands.begin(), node.operands.begin() + static_cast<std::ptrdiff_t>(node.ins.size()));
  std::vector<std::uint32_t> replaced{n};
  std::vector<std::uint32_t> outs{fusion.out(n, 0)};
  if (added != CALM_NONE) {  // the residual stream's gradient
    replaced.push_back(added);
    ins.push_back(fusion.in(added, 0) == outs[0] ? fusion.in(added, 1) : fusion.in(added, 0));
    outs[0] = fusion.out(added, 0);
  }
  const bool any = std::any_of(pieces.begin(), pieces.end(),
                               [](const Piece &piece) { return piece.value != CALM_NONE; });
  outs.push_back(any ? graph.add_temporary(parts) : CALM_NONE);
  if (any) {
    late.push_back(sum_columns_node(graph, node, outs[1], pieces));
  }
  Node merged = make_node(graph, node, op, std::move(ins), std::move(outs));
  merged.attrs = node.attrs;
  fusion.replace(replaced, std::move(merged));
}

calm_type parts_type(std::int64_t rows, std::int64_t columns) {
  calm_type type{};
  type.dtype = CALM_F32;
  type.rank = 2;
  type.shape[0] = rows;
  type.shape[1] = columns;
  return type;
}

bool same_shape(const calm_type &a, const calm_type &b) {
  return a.dtype == b.dtype && a.rank == b.rank && std::equal(a.shape, a.shape + a.rank, b.shape);
}

void fuse_norm_grad(Fusion &fusion, std::uint32_t n, std::vector<Node> &late) {
  const Node &node = fusion.node(n);
  const calm_type &x = node.ins[CALM_LAYER_NORM_GRAD_X];
  const std::uint32_t grad_x = fusion.out(n, 0);
  std::uint32_t added = CALM_NONE;
  if (grad_x != CALM_NONE && fusion.graph().values[grad_x].plain) {
    added = fusion.user(grad_x, CALM_OP_ADD);
    if (added != CALM_NONE &&
        !(fusion.only_for(grad_x, {added}) && fusion.in(added, 0) != fusion.in(added, 1) &&
          same_shape(fusion.node(added).ins[0], fusion.node(added).ins[1]))) {
      added = CALM_NONE;
    }
  }
  leave_sums(
      fusion, n, kNormGrad, added,
      parts_type(div_up<std::int64_t>(x.shape[0], norm_grad_rows(x.shape[0])), 2 * x.shape[1]),
      {{fusion.out(n, 1), x.shape[1]}, {fusion.out(n, 2), x.shape[1]}}, late);
}

void fuse_conv_grad(Fusion &fusion, std::uint32_t n, std::vector<Node> &late) {
  const Node &node = fusion.node(n);
  const auto width =
      static_cast<std::int64_t>(cuda::count(node.ins[CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT]));
  leave_sums(
      fusion, n, kConvGrad, CALM_NONE,
      parts_type(div_up<std::int64_t>(node.ins[CALM_CAUSAL_CONV_SILU_GRAD_X].shape[0], 64), width),
      {{fusion.out(n, 1), width}}, late);
}

/// The loss and its gradient in one pass over the logits.
void fuse_loss(Fusion &fusion, std::uint32_t n) {
  const std::uint32_t lse = fusion.in(n, CALM_CROSS_ENTROPY_GRAD_LSE);
  const std::uint32_t loss = fusion.maker(lse);
  if (!fusion.is(loss, CALM_OP_CROSS_ENTROPY) || !fusion.only_for(lse, {n}) ||
      fusion.out(loss, CALM_CROSS_ENTROPY_LSE) != lse || fusion.in(loss, 0) != fusion.in(n, 0) ||
      fusion.in(loss, 1) != fusion.in(n, 1) ||
      !fusion.read_after(fusion.out(loss, CALM_CROSS_ENTROPY_LOSS), n)) {
    return;
  }
  Node merged =
      make_node(fusion.graph(), fusion.node(n), kLoss,
                {fusion.in(n, 0), fusion.in(n, 1), fusion.in(n, CALM_CROSS_ENTROPY_GRAD_GRAD)},
                {fusion.out(loss, CALM_CROSS_ENTROPY_LOSS), fusion.out(n, 0)});
  fusion.replace({loss, n}, std::move(merged));
}

/// A norm and the guard behind it: nothing is changed between them.
void fuse_guard(Fusion &fusion, std::uint32_t n) {
  const std::uint32_t ok = fusion.in(n, CALM_GUARD_OK);
  const std::uint32_t norm = fusion.maker(ok);
  if (!fusion.is(norm, CALM_OP_GLOBAL_NORM) || norm + 1 != n) {
    return;
  }
  const Node &node = fusion.node(norm);
  std::vector<std::uint32_t> ins(
      node.operands.begin(), node.operands.begin() + static_cast<std::ptrdiff_t>(node.ins.size()));
  ins.push_back(fusion.in(n, CALM_GUARD_BAD));
  Node merged = make_node(
      fusion.graph(), node, kGuardedNorm, std::move(ins),
      {fusion.out(norm, CALM_GLOBAL_NORM_NORM), fusion.out(norm, CALM_GLOBAL_NORM_COEFFICIENT),
       fusion.only_for(ok, {n}) ? CALM_NONE : ok, fusion.out(n, 0), fusion.out(n, 1)});
  merged.attrs = node.attrs;
  fusion.replace({norm, n}, std::move(merged));
}

/// cuBLASLt's GELU is an approximation good enough for bf16 and wants rows of whole 16 bytes.
bool finishes_gelu(const calm_type &out) { return out.dtype == CALM_BF16 && out.shape[1] % 8 == 0; }

/// A product over tokens with what is done to its values at once: added to, GELU. Not GELU's slope,
/// for which cuBLASLt has slow kernels: a product and a pass of ours take less time.
void fuse_product(Fusion &fusion, std::uint32_t n, Blas &blas) {
  const std::uint32_t out = fusion.out(n, 0);
  Graph &graph = fusion.graph();
  const Product plain = product_of(fusion.node(n), Finish::kNone);
  if (out == CALM_NONE || !graph.values[out].plain || plain.m == 0 || plain.n == 0 ||
      plain.k == 0 || graph.values[out].type.axis0 != CALM_AXIS_TOKENS) {
    return;
  }
  const std::uint32_t a = fusion.in(n, CALM_MATMUL_A);
  const std::uint32_t b = fusion.in(n, CALM_MATMUL_B);
  const auto merge = [&](std::uint32_t with, std::vector<std::uint32_t> ins,
                         std::vector<std::uint32_t> outs, Finish finish) {
    Node merged = make_node(graph, fusion.node(n), CALM_OP_MATMUL, std::move(ins), std::move(outs));
    merged.attrs = fusion.node(n).attrs;
    merged.strides = fusion.strides_of(merged);
    merged.finish = finish;
    if (!blas.can(product_of(merged, finish))) {
      return;
    }
    fusion.replace({n, with}, std::move(merged));
  };
  if (const std::uint32_t sum = fusion.user(out, CALM_OP_ADD);
      sum != CALM_NONE && fusion.only_for(out, {sum})) {
    const std::uint32_t other = fusion.in(sum, 0) == out ? fusion.in(sum, 1) : fusion.in(sum, 0);
    if (other != out && same_shape(graph.values[other].type, graph.values[out].type)) {
      merge(sum, {a, b, other}, {fusion.out(sum, 0)}, Finish::kAdd);
    }
    return;
  }
  if (!finishes_gelu(graph.values[out].type)) {
    return;
  }
  if (const std::uint32_t gelu = fusion.user(out, CALM_OP_GELU); gelu != CALM_NONE) {
    // What GELU is of has other readers behind it: they find it in place.
    merge(gelu, {a, b}, {fusion.out(gelu, 0), out}, Finish::kGelu);
    return;
  }
}

}  // namespace

Node sum_columns_node(const Graph &graph, const Node &from, std::uint32_t parts,
                      const std::vector<Piece> &pieces) {
  std::vector<std::uint32_t> outs;
  std::vector<calm_value> widths;
  for (const Piece &piece : pieces) {
    outs.push_back(piece.value);
    widths.push_back(value("width", piece.width));
  }
  Node node = make_node(graph, from, kSumColumns, {parts}, std::move(outs));
  node.attrs = std::move(widths);
  return node;
}

Fusion::Fusion(Graph &graph)
    : graph_(graph),
      users_(graph.users()),
      makers_(graph.makers()),
      dropped_(graph.nodes.size(), false) {}

std::uint32_t Fusion::in(std::uint32_t node, std::uint32_t i) const {
  const Node &n = graph_.nodes[node];
  return i < n.ins.size() ? n.operands[i] : CALM_NONE;
}

std::uint32_t Fusion::out(std::uint32_t node, std::uint32_t i) const {
  const Node &n = graph_.nodes[node];
  return i < n.outs.size() ? n.operands[n.ins.size() + i] : CALM_NONE;
}

bool Fusion::is(std::uint32_t i, std::string_view op) const {
  return i != CALM_NONE && !dropped_[i] && !graph_.nodes[i].own && graph_.nodes[i].op == op &&
         graph_.nodes[i].revision == 1;
}

std::uint32_t Fusion::maker(std::uint32_t value) const {
  return value != CALM_NONE && graph_.values[value].plain ? makers_[value] : CALM_NONE;
}

std::uint32_t Fusion::user(std::uint32_t value, std::string_view op) const {
  std::uint32_t found = CALM_NONE;
  if (value != CALM_NONE) {
    for (const std::uint32_t n : users_[value]) {
      if (is(n, op) && n != found) {
        if (found != CALM_NONE) {
          return CALM_NONE;
        }
        found = n;
      }
    }
  }
  return found;
}

bool Fusion::only_for(std::uint32_t value, const std::vector<std::uint32_t> &nodes) const {
  return value == CALM_NONE ||
         (graph_.values[value].plain &&
          std::all_of(users_[value].begin(), users_[value].end(), [&](std::uint32_t n) {
            return std::find(nodes.begin(), nodes.end(), n) != nodes.end();
          }));
}

std::vector<std::int64_t> Fusion::strides_of(const Node &node) const {
  std::vector<std::int64_t> strides;
  for (const std::uint32_t id : node.operands) {
    strides.push_back(id == CALM_NONE ? 0 : graph_.stride(id));
  }
  return strides;
}

bool Fusion::read_after(std::uint32_t value, std::uint32_t at) const {
  return value == CALM_NONE || std::all_of(users_[value].begin(), users_[value].end(),
                                           [at](std::uint32_t n) { return n > at; });
}

void Fusion::replace(const std::vector<std::uint32_t> &parts, Node merged) {
  for (const std::uint32_t n : parts) {
    for (std::size_t i = 0; i < graph_.nodes[n].operands.size(); ++i) {
      const std::uint32_t id = graph_.nodes[n].operands[i];
      if (id == CALM_NONE) {
        continue;
      }
      if (i < graph_.nodes[n].ins.size()) {
        auto &users = users_[id];
        users.erase(std::remove(users.begin(), users.end(), n), users.end());
      } else {
        makers_[id] = CALM_NONE;
      }
    }
    dropped_[n] = true;
  }
  const std::uint32_t at = *std::max_element(parts.begin(), parts.end());
  dropped_[at] = false;
  users_.resize(graph_.values.size());
  makers_.resize(graph_.values.size(), CALM_NONE);
  for (std::size_t i = 0; i < merged.operands.size(); ++i) {
    const std::uint32_t id = merged.operands[i];
    if (id != CALM_NONE && i < merged.ins.size()) {
      auto &users = users_[id];
      users.insert(std::upper_bound(users.begin(), users.end(), at), at);
    } else if (id != CALM_NONE) {
      makers_[id] = at;
    }
  }
  graph_.nodes[at] = std::move(merged);
  graph_.fused += static_cast<std::uint32_t>(parts.size()) - 1;
}

void Fusion::finish(std::vector<Node> late) {
  std::vector<Node> kept;
  for (std::uint32_t n = 0; n < count(); ++n) {
    if (!dropped_[n]) {
      kept.push_back(std::move(graph_.nodes[n]));
    }
  }
  graph_.nodes = std::move(kept);
  // All where the first of them is wanted if they can be made by then: in one launch.
  const auto users = graph_.users();
  const auto makers = graph_.makers();
  std::uint32_t made = 0;
  for (const Node &node : late) {
    made = std::max(made, makers[node.operands[0]] + 1);
  }
  std::vector<std::pair<std::uint32_t, Node>> placed;
  for (Node &node : late) {
    auto at = static_cast<std::uint32_t>(graph_.nodes.size());
    for (std::size_t i = node.ins.size(); i < node.operands.size(); ++i) {
      const std::uint32_t id = node.operands[i];
      if (id != CALM_NONE && !users[id].empty()) {
        at = std::min(at, users[id].front());
      }
    }
    placed.emplace_back(at, std::move(node));
  }
  std::uint32_t together = CALM_NONE;
  for (const auto &[at, node] : placed) {
    together = at >= made ? std::min(together, at) : together;
  }
  for (auto &[at, node] : placed) {
    at = at >= made ? together : at;
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto &a, const auto &b) { return a.first < b.first; });
  std::vector<Node> all;
  std::size_t next = 0;
  for (std::uint32_t n = 0; n <= graph_.nodes.size(); ++n) {
    for (; next < placed.size() && placed[next].first == n; ++next) {
      all.push_back(std::move(placed[next].second));
    }
    if (n < graph_.nodes.size()) {
      all.push_back(std::move(graph_.nodes[n]));
    }
  }
  graph_.nodes = std::move(all);
}

void fuse(Graph &graph) {
  Fusion fusion(graph);
  std::vector<Node> late;
  fuse_mixers(fusion, late);
  for (std::uint32_t n = 0; n < fusion.count(); ++n) {
    if (fusion.is(n, CALM_OP_LAYER_NORM_GRAD)) {
      fuse_norm_grad(fusion, n, late);
    } else if (fusion.is(n, CALM_OP_CAUSAL_CONV_SILU_GRAD)) {
      fuse_conv_grad(fusion, n, late);
    } else if (fusion.is(n, CALM_OP_CROSS_ENTROPY_GRAD)) {
      fuse_loss(fusion, n);
    } else if (fusion.is(n, CALM_OP_GUARD)) {
      fuse_guard(fusion, n);
    }
  }
  fusion.finish(std::move(late));
}

void fuse_products(Graph &graph, Blas &blas) {
  Fusion fusion(graph);
  for (std::uint32_t n = 0; n < fusion.count(); ++n) {
    if (fusion.is(n, CALM_OP_MATMUL)) {
      fuse_product(fusion, n, blas);
    }
  }
  fusion.finish({});
}

}  // namespace calm::cuda
