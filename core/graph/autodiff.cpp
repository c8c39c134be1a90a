#include "core/graph/autodiff.hpp"

#include <calm/cpp/error.hpp>

namespace calm::graph {

namespace {

// Which tensors depend on a trained parameter: only they need gradients.
std::vector<bool> trainable(const Graph &graph) {
  std::vector<bool> depends(graph.tensors().size(), false);
  for (std::size_t i = 0; i < graph.tensors().size(); ++i) {
    const Tensor &t = graph.tensors()[i];
    depends[i] =
        t.role == CALM_ROLE_PARAM && t.param != CALM_NONE && !graph.layout().param(t.param).frozen;
  }
  for (const Node &node : graph.nodes()) {
    bool any = false;
    for (const std::uint32_t in : node.ins) {
      any |= in != CALM_NONE && depends[in];
    }
    for (const std::uint32_t out : node.outs) {
      depends[out] = any;
    }
  }
  return depends;
}

}  // namespace

std::vector<Value> differentiate(Graph &graph, Value loss, Value seed) {
  const std::vector<bool> depends = trainable(graph);
  std::vector<Value> grads(graph.tensors().size());  // by tensor of the forward graph
  const GraphBuilder builder(graph);
  const auto accumulate = [&](std::uint32_t tensor, Value grad) {
    Value &sum = grads[tensor];
    sum = sum ? builder.face().op("add", {sum, grad}) : grad;
  };
  graph.set_phase(CALM_PHASE_BACKWARD);
  grads[loss.id] = seed;

  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node node = graph.nodes()[i];  // a copy: emitting moves the vector
    std::vector<calm_value_id> grad_outs;
    bool reached = false;
    for (const std::uint32_t out : node.outs) {
      grad_outs.push_back(grads[out].id);
      reached |= static_cast<bool>(grads[out]);
    }
    std::vector<std::uint8_t> wanted;
    bool any = false;
    for (const std::uint32_t in : node.ins) {
      wanted.push_back(in != CALM_NONE && depends[in] ? 1 : 0);
      any |= wanted.back() != 0;
    }
    if (!reached || !any) {
      continue;
    }
    const std::string where = "[" + node.op + "] " + node.origin;
    if (node.definition->gradient == nullptr) {
      throw Error(CALM_UNSUPPORTED, where + ": has no gradient");
    }
    graph.set_origin("grad/" + node.origin);
    const std::vector<calm_value> attrs = attribute_values(node);
    const CallRecord record(graph, node.ins, node.outs, attrs);
    std::vector<calm_value_id> grad_ins(node.ins.size(), CALM_NONE);
    calm_error error{};
    check(node.definition->gradient(&builder.table(), &record.call, grad_outs.data(), wanted.data(),
                                    grad_ins.data(), &error),
          error, where);
    for (std::size_t k = 0; k < node.ins.size(); ++k) {
      if (wanted[k] != 0 && grad_ins[k] != CALM_NONE) {
        if (!same_shape(graph.tensors()[grad_ins[k]].type, graph.tensors()[node.ins[k]].type)) {
          throw Error(CALM_INTERNAL, where + ": gradient of operand " + std::to_string(k) +
                                         " has shape " +
                                         describe(graph.tensors()[grad_ins[k]].type));
        }
        accumulate(node.ins[k], {grad_ins[k]});
      }
    }
  }
  graph.set_origin({});
  graph.set_phase(CALM_PHASE_FORWARD);

  std::vector<Value> by_param(graph.layout().params().size());
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const Tensor &t = graph.tensors()[i];
    if (t.role == CALM_ROLE_PARAM && t.param != CALM_NONE && depends[i]) {
      by_param[t.param] = grads[i];
    }
  }
  return by_param;
}

}  // namespace calm::graph
