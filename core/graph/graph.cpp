#include "core/graph/graph.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/type_check.hpp"

namespace calm::graph {

namespace {

// The whole schema in its order: what was given, checked, else the default.
std::vector<OwnedValue> resolve(const calm_operator &op, std::span<const calm_value> given) {
  for (const calm_value &v : given) {
    bool known = false;
    for (std::uint32_t i = 0; i < op.attrs.count; ++i) {
      known |= view(record<calm_value_spec>(op.attrs, i).name) == view(v.name);
    }
    if (!known) {
      throw Error(CALM_INVALID_ARGUMENT, "unknown attribute " + copy(v.name));
    }
  }
  std::vector<OwnedValue> attrs;
  for (std::uint32_t i = 0; i < op.attrs.count; ++i) {
    const auto &spec = record<calm_value_spec>(op.attrs, i);
    OwnedValue attr{copy(spec.name), spec.type, spec.i64, spec.f64, copy(spec.str)};
    const auto it = std::find_if(given.begin(), given.end(), [&](const calm_value &v) {
      return view(v.name) == view(spec.name);
    });
    if (it != given.end()) {
      if (it->type != spec.type) {
        throw Error(CALM_INVALID_ARGUMENT, "attribute " + attr.name + " has the wrong type");
      }
      attr = own(*it);
      if (!in_range(spec, attr)) {
        throw Error(
            CALM_INVALID_ARGUMENT,
            fmt::format("attribute {}: expected {} to {}, found {}", attr.name, spec.min, spec.max,
                        attr.type == CALM_VALUE_F64 ? attr.f64 : static_cast<double>(attr.i64)));
      }
    } else if (spec.required != 0) {
      throw Error(CALM_INVALID_ARGUMENT, "attribute " + attr.name + " is missing");
    }
    attrs.push_back(std::move(attr));
  }
  return attrs;
}

}  // namespace

std::string_view slot_name(Slot slot) {
  constexpr std::string_view kNames[kSlots] = {"weights", "grads",  "m",        "v",
                                               "fisher",  "anchor", "state",    "metrics",
                                               "input",   "output", "workspace"};
  return kNames[static_cast<std::uint32_t>(slot)];
}

Graph::Graph(std::string name, Bucket bucket, calm_dtype real, ParamLayout &layout,
             OperatorLookup operators)
    : name_(std::move(name)),
      bucket_(bucket),
      real_(real),
      layout_(&layout),
      operators_(std::move(operators)) {}

std::uint32_t Graph::add(Tensor tensor) {
  tensors_.push_back(std::move(tensor));
  return static_cast<std::uint32_t>(tensors_.size() - 1);
}

Value Graph::input(std::string_view name, const calm_type &type) {
  return {add({std::string(name), type, CALM_ROLE_INPUT, Slot::kInput})};
}

void Graph::output(std::string_view name, Value value) {
  Tensor &t = tensors_.at(value.id);
  if (t.role != CALM_ROLE_TEMP) {
    throw Error(CALM_INTERNAL, "output " + std::string(name) + " is not a computed value");
  }
  t.role = CALM_ROLE_OUTPUT;
  t.slot = Slot::kOutput;
  t.name = name;
}

void Graph::update(Value value, Value target) {
  Tensor &t = tensors_.at(value.id);
  const Tensor &to = tensors_.at(target.id);
  if (t.role != CALM_ROLE_TEMP || !same_shape(t.type, to.type) || t.type.dtype != to.type.dtype) {
    throw Error(CALM_INTERNAL, "cannot update " + to.name + " with " + describe(t.type));
  }
  t.role = to.role;
  t.slot = to.slot;
  t.param = to.param;
  t.group = to.group;
  t.updates = target.id;
  t.name = to.name;
}

Value Graph::stored(std::string_view name, Slot slot, const calm_type &type) {
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].slot == slot && tensors_[i].name == name && tensors_[i].updates == CALM_NONE &&
        tensors_[i].role == CALM_ROLE_STATE) {
      return {i};
    }
  }
  return {add({std::string(name), type, CALM_ROLE_STATE, slot})};
}

Value Graph::flat_group(Slot slot, std::uint32_t group) {
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].group == group && tensors_[i].slot == slot &&
        tensors_[i].updates == CALM_NONE) {
      return {i};
    }
  }
  const FlatGroup &g = layout_->groups().at(group);
  Tensor t;
  t.name = std::string(slot_name(slot)) + "/" + g.name;
  t.type = type_of(real_, {static_cast<std::int64_t>(g.count)});
  t.role = slot == Slot::kWeights ? CALM_ROLE_PARAM : CALM_ROLE_STATE;
  t.slot = slot;
  t.group = group;
  return {add(std::move(t))};
}

Value Graph::param_view(Slot slot, std::uint32_t param) {
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].param == param && tensors_[i].slot == slot &&
        tensors_[i].updates == CALM_NONE) {
      return {i};
    }
  }
  const Param &p = layout_->param(param);
  Tensor t;
  t.name = slot == Slot::kWeights ? p.name : std::string(slot_name(slot)) + "/" + p.name;
  t.type = p.type;
  t.role = slot == Slot::kWeights ? CALM_ROLE_PARAM : CALM_ROLE_STATE;
  t.slot = slot;
  t.param = param;
  return {add(std::move(t))};
}

Value Graph::param(const calm_param &param) {
  return param_view(Slot::kWeights, layout_->declare(param));
}

Value Graph::constant(const calm_type &type, const void *data) {
  Tensor t{"const" + std::to_string(tensors_.size()), type, CALM_ROLE_CONST};
  t.offset = (constants_.size() + 63) / 64 * 64;
  const std::uint64_t bytes = bytes_of(type);
  constants_.resize(t.offset + bytes);
  std::copy_n(static_cast<const unsigned char *>(data), bytes, constants_.data() + t.offset);
  return {add(std::move(t))};
}

Value Graph::step_value(std::string_view name, calm_dtype dtype) {
  for (const StepValue &known : step_values_) {
    if (known.name == name) {
      if (known.dtype != dtype) {
        throw Error(CALM_INVALID_ARGUMENT, "step value " + known.name + " has two dtypes");
      }
      return {known.tensor};
    }
  }
  const std::uint64_t size = dtype_bytes(dtype);
  if (size == 0) {
    throw Error(CALM_INVALID_ARGUMENT, "step value " + std::string(name) + " has no known dtype");
  }
  StepValue step{std::string(name), dtype, (step_bytes_ + size - 1) / size * size, CALM_NONE};
  Tensor t{step.name, type_of(dtype, {}), CALM_ROLE_STEP};
  t.offset = step.offset;
  step.tensor = add(std::move(t));
  step_bytes_ = step.offset + size;
  step_values_.push_back(step);
  return {step.tensor};
}

Value Graph::state_in(std::string_view name, calm_dtype dtype, const std::int64_t *shape,
                      std::uint32_t rank) {
  if (!reads_state_) {
    return {};
  }
  calm_type type{};
  type.dtype = dtype;
  type.axis0 = CALM_AXIS_SEQUENCES;
  type.rank = rank + 1;
  type.shape[0] = bucket_.sequences;
  std::copy_n(shape, rank, type.shape + 1);
  return stored(name, Slot::kState, type);
}

void Graph::state_out(std::string_view name, Value value) {
  if (!writes_state_) {
    return;
  }
  Tensor &t = tensors_.at(value.id);
  update(value, stored(name, Slot::kState, calm_type(t.type)));
}

std::vector<Value> Graph::emit(std::string_view op, std::uint32_t revision,
                               std::span<const Value> ins, std::span<const calm_value> given) {
  Node node;
  node.op = op;
  node.revision = revision;
  node.phase = phase_;
  node.definition = operators_(op, revision);
  if (!origin_.empty()) {
    node.origin = origin_;
  } else {
    for (const std::string &scope : scopes_) {
      node.origin += scope + "/";
    }
    node.origin += op;
  }
  const auto failed = [&](calm_status status, const std::string &what) {
    throw Error(status, "[" + node.op + "] " + node.origin + ": " + what);
  };
  if (node.definition == nullptr) {
    failed(CALM_UNSUPPORTED, "no operator of this name and revision");
  }
  const calm_operator &definition = *node.definition;
  while (ins.size() > definition.min_in && !ins.back()) {
    ins = ins.first(ins.size() - 1);
  }
  if (ins.size() < definition.min_in || ins.size() > definition.max_in) {
    failed(CALM_INVALID_ARGUMENT, "expected " + std::to_string(definition.min_in) + " to " +
                                      std::to_string(definition.max_in) + " operands, found " +
                                      std::to_string(ins.size()));
  }
  for (const Value v : ins) {
    if (v && v.id >= tensors_.size()) {
      failed(CALM_INVALID_ARGUMENT, "operand is not a value of this graph");
    }
    node.ins.push_back(v.id);
  }
  std::vector<calm_type> types(definition.max_out);
  std::uint32_t n_out = 0;
  try {
    node.attrs = resolve(definition, given);
    const std::vector<calm_value> attrs = attribute_values(node);
    const CallRecord record(*this, node.ins, {}, attrs);
    call(definition.infer, &record.call, types.data(), &n_out);
    // What a third party's inference claims is not taken on trust.
    if (n_out > types.size() || !std::all_of(types.begin(), types.begin() + n_out, is_type)) {
      throw Error(CALM_INTERNAL, "its inference: expected up to " + std::to_string(types.size()) +
                                     " types, found " + std::to_string(n_out) +
                                     " or a shape that cannot be");
    }
  } catch (const Error &e) {
    failed(e.status(), e.what());
  }
  std::vector<Value> outs;
  for (std::uint32_t i = 0; i < n_out; ++i) {
    const std::uint32_t id = add({node.origin + ":" + std::to_string(i), types[i]});
    node.outs.push_back(id);
    outs.push_back({id});
  }
  nodes_.push_back(std::move(node));
  return outs;
}

void Graph::push_scope(std::string_view name) { scopes_.emplace_back(name); }
void Graph::pop_scope() {
  if (!scopes_.empty()) {
    scopes_.pop_back();
  }
}

void Graph::eliminate_dead_code() {
  std::vector<bool> live(tensors_.size(), false);
  std::vector<Node> kept;
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    bool needed = false;
    for (const std::uint32_t out : node->outs) {
      needed |= out != CALM_NONE && (live[out] || tensors_[out].role != CALM_ROLE_TEMP);
    }
    if (!needed) {
      continue;
    }
    for (std::uint32_t &out : node->outs) {
      if (out != CALM_NONE && !live[out] && tensors_[out].role == CALM_ROLE_TEMP) {
        out = CALM_NONE;
      }
    }
    for (const std::uint32_t in : node->ins) {
      if (in != CALM_NONE) {
        live[in] = true;
      }
    }
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  nodes_ = std::move(kept);
}

std::vector<calm_value> attribute_values(const Node &node) {
  std::vector<calm_value> values;
  for (const OwnedValue &a : node.attrs) {
    values.push_back(a.record());
  }
  return values;
}

CallRecord::CallRecord(const Graph &graph, std::span<const std::uint32_t> ins,
                       std::span<const std::uint32_t> outs, std::span<const calm_value> attrs) {
  for (const std::uint32_t in : ins) {
    in_ids.push_back(in);
    present.push_back(in == CALM_NONE ? 0 : 1);
    in_types.push_back(in == CALM_NONE ? calm_type{} : graph.tensors()[in].type);
  }
  for (const std::uint32_t out : outs) {
    out_ids.push_back(out);
    out_types.push_back(out == CALM_NONE ? calm_type{} : graph.tensors()[out].type);
  }
  call.size = sizeof call;
  call.n_in = static_cast<std::uint32_t>(ins.size());
  call.n_out = static_cast<std::uint32_t>(outs.size());
  call.n_attr = static_cast<std::uint32_t>(attrs.size());
  call.ins = in_ids.data();
  call.outs = out_ids.data();
  call.in_types = in_types.data();
  call.present = present.data();
  call.out_types = out_types.data();
  call.attrs = attrs.data();
  call.tokens = graph.bucket().tokens;
  call.sequences = graph.bucket().sequences;
  call.longest = graph.bucket().longest;
}

}  // namespace calm::graph
