#pragma once

#include <calm/operator.h>
#include <calm/program.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/operator.hpp>

#include "core/graph/params.hpp"

namespace calm::graph {

/// The static sizes a program is compiled for (program rule 1).
struct Bucket {
  std::int64_t tokens = 1;     ///< rows on a tokens axis
  std::int64_t sequences = 1;  ///< rows on a sequences axis
  std::int64_t longest = 1;    ///< no sequence is longer
};

/// Finds the definition of an operator; null when nobody defines it.
using OperatorLookup = std::function<const calm_operator *(std::string_view id, std::uint32_t rev)>;

/// The buffers a program is bound to. Those before State have the layout of
/// ParamLayout.
enum class Slot : std::uint32_t {
  kWeights,
  kGrads,
  kM,
  kV,
  kFisher,   ///< online EWC: diagonal Fisher information
  kAnchor,   ///< online EWC: the weights it was measured at
  kState,    ///< decode state, one 256-byte aligned tensor after another
  kMetrics,  ///< ring of metrics and the guard's counter: survives from run to run
  kInput,
  kOutput,
  kWorkspace,
};
inline constexpr std::uint32_t kSlots = 11;
std::string_view slot_name(Slot slot);

/// A value of the graph and where it lives.
struct Tensor {
  std::string name;
  calm_type type{};
  calm_role role = CALM_ROLE_TEMP;
  Slot slot = Slot::kWorkspace;       ///< of every role but CONST and STEP
  std::uint32_t param = CALM_NONE;    ///< index in the layout: a view of a flat slot
  std::uint32_t group = CALM_NONE;    ///< index of a whole FlatGroup of a flat slot
  std::uint32_t updates = CALM_NONE;  ///< tensor whose storage this value overwrites
  std::uint64_t offset = 0;           ///< bytes in constants or step block (CONST, STEP)
};

struct Node {
  std::string op;
  std::uint32_t revision = 1;
  calm_phase phase = CALM_PHASE_FORWARD;
  std::vector<std::uint32_t> ins;   ///< CALM_NONE for an absent operand
  std::vector<std::uint32_t> outs;  ///< CALM_NONE once dead-code elimination found it unused
  std::vector<OwnedValue> attrs;    ///< the whole schema, in its order
  std::string origin;
  const calm_operator *definition = nullptr;
};

/// A step value: a scalar that changes from run to run (program rule 5).
struct StepValue {
  std::string name;
  calm_dtype dtype = CALM_F32;
  std::uint64_t offset = 0;
  std::uint32_t tensor = CALM_NONE;
};

/// A computation under construction. Nodes stand in the order they run; tensors in named storage
/// (weights, states) are memory: a node that updates one must stand after every reader of the old
/// value, which compile() checks.
class Graph {
 public:
  Graph(std::string name, Bucket bucket, calm_dtype real, ParamLayout &layout,
        OperatorLookup operators);

  const std::string &name() const { return name_; }
  const Bucket &bucket() const { return bucket_; }
  calm_dtype real() const { return real_; }
  ParamLayout &layout() const { return *layout_; }
  const OperatorLookup &operators() const { return operators_; }

  const std::vector<Tensor> &tensors() const { return tensors_; }
  const std::vector<Node> &nodes() const { return nodes_; }
  const std::vector<StepValue> &step_values() const { return step_values_; }
  std::uint64_t step_bytes() const { return step_bytes_; }
  const std::vector<unsigned char> &constants() const { return constants_; }
  const Tensor &tensor(Value value) const { return tensors_.at(value.id); }

  /// A tensor of the slot Input, written by the host before a run.
  Value input(std::string_view name, const calm_type &type);
  /// Makes a computed value readable by the host after a run, under `name`.
  void output(std::string_view name, Value value);
  /// Makes a computed value overwrite the storage of `target`.
  void update(Value value, Value target);
  /// A tensor in storage that survives runs: Metrics, or a flat slot's group.
  Value stored(std::string_view name, Slot slot, const calm_type &type);
  Value flat_group(Slot slot, std::uint32_t group);
  /// The view of parameter `param` in a flat slot.
  Value param_view(Slot slot, std::uint32_t param);

  Value param(const calm_param &param);
  Value constant(const calm_type &type, const void *data);
  Value step_value(std::string_view name, calm_dtype dtype);
  /// Decode state. Reading gives an empty value unless reads_state was set.
  Value state_in(std::string_view name, calm_dtype dtype, const std::int64_t *shape,
                 std::uint32_t rank);
  void state_out(std::string_view name, Value value);
  void keep_state(bool read, bool write) {
    reads_state_ = read;
    writes_state_ = write;
  }

  /// Adds a node: resolves the attributes against the schema and infers the output types. Errors
  /// are prefixed with the operator and its origin.
  std::vector<Value> emit(std::string_view op, std::uint32_t revision, std::span<const Value> ins,
                          std::span<const calm_value> attrs);

  void push_scope(std::string_view name);
  void pop_scope();
  void set_phase(calm_phase phase) { phase_ = phase; }
  /// Prefix of the origin of nodes added next, instead of the scopes; empty: the scopes.
  void set_origin(std::string origin) { origin_ = std::move(origin); }

  /// Removes nodes nothing depends on, and marks unused outputs of the others.
  void eliminate_dead_code();

  /// Gradient checkpointing (Chen et al., arXiv 1604.06174): of the forward pass only the values
  /// between its segments stay, the rest is computed again where the backward pass first asks for
  /// it. Segments end where one value on the tokens axis, of the smallest size there is, is all that
  /// goes on: the residual stream. Nodes that are not pure are never repeated. No result changes.
  void recompute_activations();

  /// Replaces every node with refused[i] by what its operator's `lower` writes. A node without a
  /// lowering is CALM_UNSUPPORTED with `reasons[i]`.
  void lower(const std::vector<bool> &refused, const std::vector<std::string> &reasons);

 private:
  std::uint32_t add(Tensor tensor);

  std::string name_;
  Bucket bucket_;
  calm_dtype real_;
  ParamLayout *layout_;
  OperatorLookup operators_;
  std::vector<Tensor> tensors_;
  std::vector<Node> nodes_;
  std::vector<StepValue> step_values_;
  std::uint64_t step_bytes_ = 0;
  std::vector<unsigned char> constants_;
  std::vector<std::string> scopes_;
  std::string origin_;
  calm_phase phase_ = CALM_PHASE_FORWARD;
  bool reads_state_ = false;
  bool writes_state_ = false;
};

/// The C table over a graph, for operators, models and trainers. Lives as long as both.
class GraphBuilder {
 public:
  explicit GraphBuilder(Graph &graph);
  const calm_builder &table() const { return table_; }
  Builder face() const { return Builder(table_); }

 private:
  calm_builder table_{};
};

/// A call record over a node (or a node to be), with the arrays it points to.
struct CallRecord {
  CallRecord(const Graph &graph, std::span<const std::uint32_t> ins,
             std::span<const std::uint32_t> outs, std::span<const calm_value> attrs);
  calm_call call{};
  std::vector<calm_type> in_types, out_types;
  std::vector<std::uint8_t> present;
  std::vector<calm_value_id> in_ids, out_ids;
};

/// Attributes of a node as C values; views of the node.
std::vector<calm_value> attribute_values(const Node &node);

}  // namespace calm::graph
