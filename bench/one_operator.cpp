#include "bench/one_operator.hpp"

#include <calm/ops/selective_scan.h>
#include <calm/random.h>

#include <map>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/run/language_model.hpp"

namespace calm::bench {

using graph::Graph;
using graph::Node;
using graph::Slot;
using graph::Tensor;

namespace {

// Writes one node again, in a graph of its own.
class Copy {
 public:
  Copy(const Graph &from, Graph &to) : from_(&from), to_(&to) {}

  void node(const Node &node) {
    std::vector<Value> ins;
    for (std::size_t i = 0; i < node.ins.size(); ++i) {
      ins.push_back(node.ins[i] == CALM_NONE ? Value{} : operand(node.ins[i], i));
    }
    const std::vector<Value> outs =
        to_->emit(node.op, node.revision, ins, graph::attribute_values(node));
    for (std::size_t i = 0; i < outs.size(); ++i) {
      if (node.outs[i] == CALM_NONE) {
        continue;
      }
      const Tensor &out = from_->tensors()[node.outs[i]];
      if (out.updates != CALM_NONE) {
        to_->update(outs[i], operand(out.updates, i));
      } else {
        to_->output("out" + std::to_string(i), outs[i]);
      }
    }
  }

 private:
  Value operand(std::uint32_t id, std::size_t index) {
    const auto known = copied_.find(id);
    if (known != copied_.end()) {
      return known->second;
    }
    const Tensor &t = from_->tensors()[id];
    const Value value = t.role == CALM_ROLE_STEP ? to_->step_value(t.name, t.type.dtype)
                        : t.role == CALM_ROLE_CONST
                            ? to_->constant(t.type, from_->constants().data() + t.offset)
                        : t.param != CALM_NONE ? to_->param_view(t.slot, t.param)
                        : t.group != CALM_NONE ? to_->flat_group(t.slot, t.group)
                        : t.slot == Slot::kState || t.slot == Slot::kMetrics
                            ? to_->stored(t.name, t.slot, t.type)
                            : to_->input("in" + std::to_string(index), t.type);
    return copied_.emplace(id, value).first->second;
  }

  const Graph *from_;
  Graph *to_;
  std::map<std::uint32_t, Value> copied_;
};

// Numbers of (0, 1]: fit for logarithms and step sizes; `sign` -1 for decays.
std::vector<float> numbers(std::uint64_t bytes, float sign) {
  std::vector<float> values(bytes / sizeof(float));
  for (std::size_t i = 0; i < values.size(); ++i) {
    // Cheap and without a pattern a cache would notice.
    const auto mixed = static_cast<std::uint32_t>(i * 2654435761U) >> 8;
    values[i] = sign * (static_cast<float>(mixed) + 1.0F) * 0x1p-24F;
  }
  return values;
}

// Ids of the vocabulary and targets, or an index that every table has.
std::vector<std::int32_t> integers(const calm_type &type, std::span<const std::int32_t> offsets) {
  if (type.rank == 1 && type.axis0 != CALM_AXIS_TOKENS &&
      static_cast<std::size_t>(type.shape[0]) == offsets.size()) {
    return {offsets.begin(), offsets.end()};
  }
  std::vector<std::int32_t> values(static_cast<std::size_t>(elements(type)), 1);
  for (std::size_t i = 0; type.rank > 0 && i < values.size(); ++i) {
    values[i] = static_cast<std::int32_t>(i * 31 % run::LanguageModel::kVocab);
  }
  return values;
}

}  // namespace

std::string describe_node(const Graph &graph, const Node &node) {
  std::string text = node.op;
  for (const std::uint32_t in : node.ins) {
    text += " " + (in == CALM_NONE ? std::string("-") : describe(graph.tensors()[in].type));
  }
  for (const OwnedValue &attr : node.attrs) {
    text += fmt::format(" {}={}", attr.name,
                        attr.type == CALM_VALUE_STR   ? attr.text
                        : attr.type == CALM_VALUE_F64 ? fmt::format("{:g}", attr.f64)
                                                      : std::to_string(attr.i64));
  }
  return text;
}

calm_cost cost_of(const Graph &graph, const Node &node) {
  const std::vector<calm_value> attrs = graph::attribute_values(node);
  const graph::CallRecord record(graph, node.ins, node.outs, attrs);
  calm_cost cost{};
  call(node.definition->cost, &record.call, &cost);
  return cost;
}

OneOperator::OneOperator(run::Session &session, const Graph &graph, const Node &node,
                         std::span<const std::int32_t> offsets) {
  make_flat_slots(session, graph);
  Graph one(node.op, graph.bucket(), graph.real(), graph.layout(), graph.operators());
  Copy(graph, one).node(node);
  stage_ = std::make_unique<run::Stage>(session, std::move(one), shared_);
  fill(node.op, offsets);
}

// The slots with the layout of the parameters, and the metrics.
void OneOperator::make_flat_slots(run::Session &session, const Graph &graph) {
  constexpr std::uint64_t kMetricsBytes = 64 * 1024;
  constexpr Slot kSlots[] = {Slot::kWeights, Slot::kGrads,  Slot::kM,      Slot::kV,
                             Slot::kFisher,  Slot::kAnchor, Slot::kMetrics};
  const std::uint64_t flat = graph.layout().elements() * sizeof(float);
  flat_.reserve(std::size(kSlots));
  for (const Slot slot : kSlots) {
    flat_.emplace_back(session, slot == Slot::kMetrics ? kMetricsBytes : flat);
    run::slot_of(shared_, slot) = &flat_.back();
    if (slot != Slot::kMetrics) {
      const std::vector<float> values = numbers(flat, 1);
      flat_.back().write(0, values.data(), flat);
    }
  }
}

void OneOperator::fill(const std::string &op, std::span<const std::int32_t> offsets) {
  const graph::Program &program = stage_->program().program();
  const std::string decays = "in" + std::to_string(CALM_SELECTIVE_SCAN_A);
  for (const graph::Binding &b : program.bindings()) {
    if (b.slot == Slot::kInput && b.type.dtype == CALM_F32) {
      const bool decay = op.starts_with("selective_scan") && b.name == decays;
      stage_->write(b.name, numbers(b.bytes, decay ? -1.0F : 1.0F));
    } else if (b.slot == Slot::kInput && b.type.dtype == CALM_I32) {
      stage_->write(b.name, integers(b.type, offsets));
    } else if (b.slot == Slot::kInput) {
      stage_->write(b.name, std::vector<std::int64_t>(b.bytes / sizeof(std::int64_t), 1));
    }
  }
  for (const graph::StepValue &step : program.step_values()) {
    if (step.dtype == CALM_F32) {
      stage_->step().set(step.name, 0.5);
    } else {
      stage_->step().set_integer(step.name, 1);
    }
  }
}

}  // namespace calm::bench
