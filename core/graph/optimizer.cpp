#include "core/graph/optimizer.hpp"

namespace calm::graph {

void accumulate_gradients(Graph &graph, const std::vector<Value> &gradients) {
  const GraphBuilder builder(graph);
  graph.set_phase(CALM_PHASE_UPDATE);
  const Value first = graph.step_value("first", CALM_I32);
  for (std::uint32_t i = 0; i < graph.layout().params().size(); ++i) {
    const Param &param = graph.layout().param(i);
    if (param.frozen) {
      continue;
    }
    graph.set_origin("accumulate/" + param.name);
    const Value sum = graph.param_view(Slot::kGrads, i);
    const Value grad =
        gradients[i] ? gradients[i] : builder.face().op("fill", {sum}, {value("value", 0.0)});
    graph.update(builder.face().op("accumulate", {sum, grad, first}), sum);
  }
  graph.set_origin({});
}

FlatGradients flat_gradients(Graph &graph, bool ewc, bool all_reduce) {
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  graph.set_phase(CALM_PHASE_UPDATE);
  FlatGradients gradients;
  const auto groups = static_cast<std::uint32_t>(graph.layout().groups().size());
  for (std::uint32_t g = 0; g < groups; ++g) {
    const Value stored = graph.flat_group(Slot::kGrads, g);
    Value grad = stored;
    if (all_reduce) {
      graph.set_origin("all_reduce");
      grad = b.op("all_reduce", {stored});
      graph.update(grad, stored);
    }
    if (ewc) {
      graph.set_origin("ewc");
      const std::vector<Value> out =
          b.emit("ewc_penalty",
                 {grad, graph.flat_group(Slot::kWeights, g), graph.flat_group(Slot::kFisher, g),
                  graph.flat_group(Slot::kAnchor, g), graph.step_value("ewc_scale", graph.real())});
      if (!all_reduce) {
        graph.update(out[0], stored);  // one writer a buffer (program rule 6)
      }
      grad = out[0];
      gradients.ewc_sum = gradients.ewc_sum ? b.op("add", {gradients.ewc_sum, out[1]}) : out[1];
    }
    gradients.groups.push_back(grad);
  }
  graph.set_origin({});
  return gradients;
}

void append_fisher(Graph &graph, const FlatGradients &gradients) {
  const GraphBuilder builder(graph);
  graph.set_phase(CALM_PHASE_UPDATE);
  graph.set_origin("fisher");
  const Value keep = graph.step_value("fisher_keep", graph.real());
  const Value take = graph.step_value("fisher_take", graph.real());
  for (std::uint32_t g = 0; g < gradients.groups.size(); ++g) {
    const Value fisher = graph.flat_group(Slot::kFisher, g);
    graph.update(builder.face().op("fisher", {fisher, gradients.groups[g], keep, take}), fisher);
  }
  graph.set_origin({});
}

UpdateValues append_update(Graph &graph, const OptimizerOptions &options,
                           const FlatGradients &gradients) {
  const GraphBuilder builder(graph);
  const Builder b = builder.face();
  graph.set_phase(CALM_PHASE_UPDATE);
  graph.set_origin("update");
  const std::vector<Value> &grads = gradients.groups;
  const calm_value clip[] = {value("max_norm", options.clip_grad_norm)};
  const std::vector<Value> norm = b.emit("global_norm", grads, clip);
  const Value bad = graph.stored("bad", Slot::kMetrics, type_of(CALM_I32, {}));
  const std::vector<Value> guard = b.emit("guard", {norm[2], bad});
  graph.update(guard[1], bad);
  const Value lr = graph.step_value("lr", graph.real());
  const Value bias1 = graph.step_value("bias1", graph.real());
  const Value bias2 = graph.step_value("bias2", graph.real());
  for (std::uint32_t g = 0; g < grads.size(); ++g) {
    const Value param = graph.flat_group(Slot::kWeights, g);
    const Value m = graph.flat_group(Slot::kM, g);
    const Value v = graph.flat_group(Slot::kV, g);
    const double decay = graph.layout().groups()[g].decay ? options.weight_decay : 0.0;
    const std::vector<Value> next =
        b.emit("adamw", {param, grads[g], m, v, lr, bias1, bias2, norm[1], guard[0]},
               {value("beta1", options.beta1), value("beta2", options.beta2),
                value("eps", options.eps), value("weight_decay", decay)});
    graph.update(next[0], param);
    graph.update(next[1], m);
    graph.update(next[2], v);
  }
  graph.set_origin({});
  return {norm[0], guard[1]};
}

}  // namespace calm::graph
