// The C table over a graph: every entry is one guarded call.
#include <calm/cpp/error.hpp>

#include "core/graph/graph.hpp"

namespace calm::graph {

namespace {

Graph &graph_of(void *self) { return *static_cast<Graph *>(self); }

calm_status type(void *self, calm_value_id value, calm_type *out, calm_error *error) {
  return guard(error, [&] {
    if (value >= graph_of(self).tensors().size()) {
      throw Error(CALM_INVALID_ARGUMENT, "not a value of this graph");
    }
    *out = graph_of(self).tensors()[value].type;
  });
}

calm_status emit(void *self, calm_str op, std::uint32_t revision, const calm_value_id *ins,
                 std::uint32_t n_in, const calm_value *attrs, std::uint32_t n_attr,
                 calm_value_id *outs, std::uint32_t capacity, std::uint32_t *n_out,
                 calm_error *error) {
  return guard(error, [&] {
    std::vector<Value> values;
    for (std::uint32_t i = 0; i < n_in; ++i) {
      values.push_back({ins[i]});
    }
    const std::vector<Value> results =
        graph_of(self).emit(view(op), revision, values, std::span(attrs, n_attr));
    *n_out = static_cast<std::uint32_t>(results.size());
    if (results.size() > capacity) {
      throw Error(CALM_INVALID_ARGUMENT, "no room for the outputs of " + copy(op));
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      outs[i] = results[i].id;
    }
  });
}

calm_status constant(void *self, const calm_type *type, const void *data, calm_value_id *out,
                     calm_error *error) {
  return guard(error, [&] { *out = graph_of(self).constant(*type, data).id; });
}

calm_status param(void *self, const calm_param *param, calm_value_id *out, calm_error *error) {
  return guard(error, [&] { *out = graph_of(self).param(*param).id; });
}

calm_status step_value(void *self, calm_str name, calm_dtype dtype, calm_value_id *out,
                       calm_error *error) {
  return guard(error, [&] { *out = graph_of(self).step_value(view(name), dtype).id; });
}

calm_status state_in(void *self, calm_str name, calm_dtype dtype, const std::int64_t *shape,
                     std::uint32_t rank, calm_value_id *out, calm_error *error) {
  return guard(error, [&] { *out = graph_of(self).state_in(view(name), dtype, shape, rank).id; });
}

calm_status state_out(void *self, calm_str name, calm_value_id value, calm_error *error) {
  return guard(error, [&] { graph_of(self).state_out(view(name), {value}); });
}

}  // namespace

GraphBuilder::GraphBuilder(Graph &graph) {
  table_.size = sizeof table_;
  table_.real = graph.real();
  table_.self = &graph;
  table_.type = type;
  table_.emit = emit;
  table_.constant = constant;
  table_.param = param;
  table_.step_value = step_value;
  table_.state_in = state_in;
  table_.state_out = state_out;
  table_.push_scope = [](void *self, calm_str name) { graph_of(self).push_scope(view(name)); };
  table_.pop_scope = [](void *self) { graph_of(self).pop_scope(); };
}

}  // namespace calm::graph
