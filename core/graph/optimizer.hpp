#pragma once

#include <vector>

#include "core/graph/graph.hpp"

namespace calm::graph {

/// Constants of a training program; what changes from step to step are step values.
struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  double clip_grad_norm = 1.0;
  bool recompute = false;   ///< gradient checkpointing: a third more time, far less memory
  bool ewc = false;         ///< online EWC: its penalty's gradient is part of the loss's (spec J.3)
  bool all_reduce = false;  ///< an update adds up the gradients of all ranks (program rule 20)
};

/// Appends `grads += value` for each parameter (program rule 8: step value `first` selects). A
/// parameter the loss does not reach gets zeros.
void accumulate_gradients(Graph &graph, const std::vector<Value> &gradients);

/// The accumulated gradients, a value for each flat group.
struct FlatGradients {
  std::vector<Value> groups;
  Value ewc_sum;  ///< real scalar, sum of F (theta - theta*)^2; empty without EWC
};

/// What accumulate_gradients left, summed over all ranks when `all_reduce`, then with the gradient
/// of the EWC penalty added when `ewc` (spec J.3). Reads step value ewc_scale = lambda *
/// grad_scale.
FlatGradients flat_gradients(Graph &graph, bool ewc, bool all_reduce = false);

/// Appends clip, guard and AdamW over the flat groups (spec I.6, I.8; program rules 7 and 9). Reads
/// step values lr, bias1, bias2. Returns the gradient norm and the guard's counter of refused
/// updates.
struct UpdateValues {
  Value norm;  ///< real scalar, before clipping
  Value bad;   ///< i32 scalar, consecutive refused updates
};
UpdateValues append_update(Graph &graph, const OptimizerOptions &options,
                           const FlatGradients &gradients);

/// Appends F = keep F + take g^2 over the flat groups (spec J.5). Reads step values fisher_keep and
/// fisher_take.
void append_fisher(Graph &graph, const FlatGradients &gradients);

}  // namespace calm::graph
