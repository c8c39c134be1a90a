#include "core/graph/program.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

namespace calm::graph {

namespace {

constexpr std::uint64_t kAlign = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Whether a parameter is a part of a whole flat group.
bool is_view_of(const Graph &graph, std::uint32_t param, std::uint32_t group) {
  const Tensor &t = graph.tensors()[param];
  const Tensor &g = graph.tensors()[group];
  if (t.slot != g.slot) {
    return false;
  }
  const FlatGroup &range = graph.layout().groups()[g.group];
  const std::uint64_t begin = graph.layout().param(t.param).offset;
  return begin >= range.begin && begin < range.begin + range.count;
}

// The tensors that are parameters, or whole flat groups: few of all there are.
std::vector<std::uint32_t> tensors_with(const Graph &graph, std::uint32_t Tensor::*of) {
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < graph.tensors().size(); ++i) {
    if (graph.tensors()[i].*of != CALM_NONE) {
      found.push_back(i);
    }
  }
  return found;
}

// All but the temporaries that dead-code elimination and lowering left over.
std::vector<bool> used_tensors(const Graph &graph) {
  std::vector<bool> used;
  for (const Tensor &t : graph.tensors()) {
    used.push_back(t.role != CALM_ROLE_TEMP);
  }
  const auto mark = [&used](const std::vector<std::uint32_t> &ids) {
    for (const std::uint32_t id : ids) {
      if (id != CALM_NONE) {
        used[id] = true;
      }
    }
  };
  for (const Node &node : graph.nodes()) {
    mark(node.ins);
    mark(node.outs);
  }
  return used;
}

}  // namespace

Program::Program(const Graph &graph) : name_(graph.name()), bucket_(graph.bucket()) {
  constexpr calm_role kRoles[kSlots] = {CALM_ROLE_PARAM,  CALM_ROLE_STATE, CALM_ROLE_STATE,
                                        CALM_ROLE_STATE,  CALM_ROLE_STATE, CALM_ROLE_STATE,
                                        CALM_ROLE_STATE,  CALM_ROLE_STATE, CALM_ROLE_INPUT,
                                        CALM_ROLE_OUTPUT, CALM_ROLE_TEMP};
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    slots_[i] = {str(slot_name(static_cast<Slot>(i))), 0, kAlign, kRoles[i],
                 static_cast<Slot>(i) == Slot::kWorkspace ? 1u : 0u};
  }
  check_update_order(graph);
  place_tensors(graph);
  place_temporaries(graph);
  write_tables(graph);
}

// Flat groups by the layout, named tensors one after another, updates where their target is.
void Program::place_tensors(const Graph &graph) {
  const ParamLayout &layout = graph.layout();
  const std::uint64_t element = dtype_bytes(graph.real());
  for (const Slot flat :
       {Slot::kWeights, Slot::kGrads, Slot::kM, Slot::kV, Slot::kFisher, Slot::kAnchor}) {
    const bool used =
        std::any_of(graph.tensors().begin(), graph.tensors().end(),
                    [flat](const Tensor &t) { return t.slot == flat && t.role != CALM_ROLE_TEMP; });
    slots_[static_cast<std::uint32_t>(flat)].bytes = used ? layout.elements() * element : 0;
  }
  const std::vector<bool> used = used_tensors(graph);
  index_.assign(graph.tensors().size(), CALM_NONE);
  std::uint32_t count = 0;
  for (std::uint32_t id = 0; id < index_.size(); ++id) {
    index_[id] = used[id] ? count++ : CALM_NONE;
  }
  for (std::uint32_t id = 0; id < index_.size(); ++id) {
    if (!used[id]) {
      continue;
    }
    const Tensor &t = graph.tensors()[id];
    calm_tensor record{};
    record.type = t.type;
    record.role = t.role;
    record.bytes = bytes_of(t.type);
    record.slot = CALM_NONE;
    record.view_of = CALM_NONE;
    record.updates = index_of(t.updates);
    record.offset = t.offset;
    if (t.role != CALM_ROLE_CONST && t.role != CALM_ROLE_STEP) {
      record.slot = static_cast<std::uint32_t>(t.slot);
      calm_slot &slot = slots_[record.slot];
      if (t.param != CALM_NONE) {
        record.offset = layout.param(t.param).offset * element;
      } else if (t.group != CALM_NONE) {
        record.offset = layout.groups()[t.group].begin * element;
      } else if (t.role != CALM_ROLE_TEMP && t.updates == CALM_NONE) {
        record.offset = slot.bytes;
        slot.bytes = aligned(slot.bytes + record.bytes);
        bindings_.push_back({t.name, t.type, t.slot, record.offset, record.bytes});
      }
    }
    texts_.push_back(std::make_unique<std::string>(t.name));
    record.name = str(*texts_.back());
    tensors_.push_back(record);
  }
  for (calm_tensor &tensor : tensors_) {
    if (tensor.updates != CALM_NONE) {
      tensor.offset = tensors_[tensor.updates].offset;
    }
  }
  // A parameter is a view of its whole group where the program names the group too.
  const std::vector<std::uint32_t> groups = tensors_with(graph, &Tensor::group);
  for (const std::uint32_t param : tensors_with(graph, &Tensor::param)) {
    for (const std::uint32_t group : groups) {
      if (is_view_of(graph, param, group)) {
        tensors_[index_[param]].view_of = index_[group];
        break;
      }
    }
  }
}

// Greedy by size: the largest temporaries first, each at the lowest offset where no temporary that
// lives at the same time lies. Holds for in-order execution (program rule 16).
void Program::place_temporaries(const Graph &graph) {
  struct Life {
    std::uint32_t tensor;
    std::size_t first, last;
  };
  std::vector<Life> lives;
  std::vector<std::uint32_t> life_of(tensors_.size(), CALM_NONE);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    for (const std::uint32_t id : graph.nodes()[n].outs) {
      const std::uint32_t out = index_of(id);
      if (out != CALM_NONE && tensors_[out].role == CALM_ROLE_TEMP) {
        life_of[out] = static_cast<std::uint32_t>(lives.size());
        lives.push_back({out, n, n});
      }
    }
    for (const std::uint32_t id : graph.nodes()[n].ins) {
      const std::uint32_t in = index_of(id);
      if (in != CALM_NONE && life_of[in] != CALM_NONE) {
        lives[life_of[in]].last = n;
      }
    }
  }
  std::stable_sort(lives.begin(), lives.end(), [this](const Life &a, const Life &b) {
    return tensors_[a.tensor].bytes > tensors_[b.tensor].bytes;
  });
  calm_slot &workspace = slots_[static_cast<std::uint32_t>(Slot::kWorkspace)];
  std::vector<const Life *> placed;  // in order of offset
  for (const Life &life : lives) {
    calm_tensor &tensor = tensors_[life.tensor];
    const std::uint64_t bytes = aligned(tensor.bytes);
    temporaries_bytes_ += bytes;
    std::uint64_t offset = 0;
    for (const Life *other : placed) {
      const calm_tensor &there = tensors_[other->tensor];
      if (other->last < life.first || life.last < other->first) {
        continue;
      }
      if (offset + bytes <= there.offset) {
        break;
      }
      offset = std::max(offset, there.offset + aligned(there.bytes));
    }
    tensor.offset = offset;
    workspace.bytes = std::max(workspace.bytes, offset + bytes);
    const auto at = std::find_if(placed.begin(), placed.end(), [&](const Life *other) {
      return tensors_[other->tensor].offset > offset;
    });
    placed.insert(at, &life);
  }
}

// Program rule 6: nobody reads a stored tensor after the node that overwrites it, and one node only
// overwrites it. Overwriting a whole flat group overwrites its views; a group read after its views
// were overwritten means their new values (gradients).
void Program::check_update_order(const Graph &graph) const {
  std::vector<bool> overwritten(graph.tensors().size(), false);
  const std::vector<std::uint32_t> params = tensors_with(graph, &Tensor::param);
  for (const Node &node : graph.nodes()) {
    for (const std::uint32_t in : node.ins) {
      if (in != CALM_NONE && overwritten[in]) {
        throw Error(CALM_INTERNAL, "[" + node.op + "] " + node.origin + ": reads " +
                                       graph.tensors()[in].name + " after it was overwritten");
      }
    }
    for (const std::uint32_t out : node.outs) {
      const std::uint32_t target = out == CALM_NONE ? CALM_NONE : graph.tensors()[out].updates;
      if (target == CALM_NONE) {
        continue;
      }
      if (overwritten[target]) {
        throw Error(CALM_INTERNAL, "[" + node.op + "] " + node.origin + ": overwrites " +
                                       graph.tensors()[target].name + " a second time");
      }
      overwritten[target] = true;
      const bool whole = graph.tensors()[target].group != CALM_NONE;
      for (std::size_t i = 0; whole && i < params.size(); ++i) {
        overwritten[params[i]] = overwritten[params[i]] || is_view_of(graph, params[i], target);
      }
    }
  }
}

void Program::write_tables(const Graph &graph) {
  const auto text = [this](const std::string &s) {
    texts_.push_back(std::make_unique<std::string>(s));
    return str(*texts_.back());
  };
  for (const Node &node : graph.nodes()) {
    calm_node record{};
    record.op = text(node.op);
    record.revision = node.revision;
    record.phase = node.phase;
    record.origin = text(node.origin);
    record.first_in = static_cast<std::uint32_t>(operands_.size());
    record.n_in = static_cast<std::uint32_t>(node.ins.size());
    for (const std::uint32_t in : node.ins) {
      operands_.push_back(index_of(in));
    }
    record.first_out = static_cast<std::uint32_t>(operands_.size());
    record.n_out = static_cast<std::uint32_t>(node.outs.size());
    for (const std::uint32_t out : node.outs) {
      operands_.push_back(index_of(out));
    }
    record.first_attr = static_cast<std::uint32_t>(attrs_.size());
    record.n_attr = static_cast<std::uint32_t>(node.attrs.size());
    for (const OwnedValue &a : node.attrs) {
      attrs_.push_back({text(a.name), a.type, 0, a.i64, a.f64, text(a.text)});
    }
    nodes_.push_back(record);
  }
  step_values_ = graph.step_values();
  for (StepValue &step : step_values_) {
    step.tensor = index_of(step.tensor);
  }
  constants_.resize((graph.constants().size() + 7) / 8);
  if (!graph.constants().empty()) {
    std::memcpy(constants_.data(), graph.constants().data(), graph.constants().size());
  }
  table_.size = sizeof table_;
  table_.schema = 1;
  table_.name = str(name_);
  table_.tokens = bucket_.tokens;
  table_.sequences = bucket_.sequences;
  table_.longest = bucket_.longest;
  table_.slots = calm::table(slots_);
  table_.tensors = calm::table(tensors_);
  table_.nodes = calm::table(nodes_);
  table_.operands = calm::table(operands_);
  table_.attrs = calm::table(attrs_);
  table_.constants = constants_.data();
  table_.constant_bytes = graph.constants().size();
  table_.step_bytes = graph.step_bytes();
  table_.hash[0] = hash(0xcbf29ce484222325u);
  table_.hash[1] = hash(0x9e3779b97f4a7c15u);
}

// FNV-1a over what determines the computation; names of tensors do not.
std::uint64_t Program::hash(std::uint64_t basis) const {
  std::uint64_t h = basis;
  const auto mix = [&h](const void *data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      h = (h ^ static_cast<const unsigned char *>(data)[i]) * 0x100000001b3u;
    }
  };
  const auto mix_text = [&mix](calm_str s) {
    mix(&s.len, sizeof s.len);
    mix(s.data, s.len);
  };
  for (const calm_tensor &t : tensors_) {
    mix(&t.type, sizeof t.type);
    mix(&t.slot, sizeof t.slot);
    mix(&t.offset, sizeof t.offset);
  }
  for (const calm_node &n : nodes_) {
    mix_text(n.op);
    mix(&n.revision, sizeof n.revision);
    mix_text(n.origin);
  }
  mix(operands_.data(), operands_.size() * sizeof operands_[0]);
  for (const calm_value &a : attrs_) {
    mix_text(a.name);
    mix(&a.i64, sizeof a.i64);
    mix(&a.f64, sizeof a.f64);
    mix_text(a.str);
  }
  mix(constants_.data(), constants_.size() * sizeof constants_[0]);
  return h;
}

const Binding &Program::binding(Slot slot, std::string_view name) const {
  for (const Binding &b : bindings_) {
    if (b.slot == slot && b.name == name) {
      return b;
    }
  }
  throw Error(CALM_INTERNAL, "program " + name_ + " has no " + std::string(slot_name(slot)) + " " +
                                 std::string(name));
}

std::string Program::dump() const {
  std::string out = fmt::format(
      "program {} tokens {} sequences {} longest {} hash {:016x}{:016x}\n", name_, bucket_.tokens,
      bucket_.sequences, bucket_.longest, table_.hash[0], table_.hash[1]);
  for (const calm_slot &slot : slots_) {
    out += fmt::format("slot {:<10} {} bytes\n", view(slot.name), slot.bytes);
  }
  const auto place = [this](std::uint32_t id) -> std::string {
    if (id == CALM_NONE) {
      return "-";
    }
    const calm_tensor &t = tensors_[id];
    const std::string where = t.role == CALM_ROLE_CONST ? "const"
                              : t.role == CALM_ROLE_STEP
                                  ? "step"
                                  : std::string(slot_name(static_cast<Slot>(t.slot)));
    return fmt::format("%{} {} {}+{}", id, describe(t.type), where, t.offset);
  };
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const calm_node &n = nodes_[i];
    out += fmt::format("{:4} {}/{} {}\n", i, view(n.op), n.revision, view(n.origin));
    for (std::uint32_t k = 0; k < n.n_in; ++k) {
      out += "       in  " + place(operands_[n.first_in + k]) + "\n";
    }
    for (std::uint32_t k = 0; k < n.n_out; ++k) {
      out += "       out " + place(operands_[n.first_out + k]) + "\n";
    }
  }
  return out;
}

}  // namespace calm::graph
