#include "tests/conformance/harness.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <calm/cpp/error.hpp>

#include "core/graph/program.hpp"
#include "core/ops/table.hpp"
#include "core/plugin/registry.hpp"
#include "tests/conformance/encode.hpp"

namespace calm::conformance {

using graph::Slot;

namespace {

// Libraries stay loaded until the process ends, so one registry serves every test.
PluginRegistry &registry() {
  static PluginRegistry instance([] {
    SearchOptions options;
    options.plugin_path = {CALM_TEST_PLUGINS};
    if (const char *path = std::getenv("CALM_PLUGIN_PATH")) {
      options.environment = path;
    }
    return options;
  }());
  return instance;
}

std::string name_of(const char *prefix, std::size_t i) { return prefix + std::to_string(i); }

std::int64_t sequences_of(const Case &c) {
  for (const Array &in : c.ins) {
    if (in.present && in.dtype == CALM_I32 && in.shape.size() == 1) {
      return std::max<std::int64_t>(1, in.shape[0] - 1);
    }
  }
  return 1;
}

graph::Bucket bucket_of(const Case &c) {
  const std::int64_t rows = c.ins[0].shape.empty() ? 1 : c.ins[0].shape[0];
  return {rows, sequences_of(c), rows};
}

}  // namespace

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const std::string &id : registry().ids("backend")) {
    const calm_backend &backend = registry().backend(id);
    std::uint32_t devices = 0;
    calm_device device{};
    calm_error error{};
    if (backend.devices(&devices, &error) != CALM_OK || devices == 0 ||
        backend.device(0, &device, &error) != CALM_OK) {
      continue;
    }
    std::istringstream dtypes(copy(device.dtypes));
    for (std::string name; dtypes >> name;) {
      if (name == "f32" || name == "f64") {
        all.push_back({id, name == "f32" ? CALM_F32 : CALM_F64});
      }
    }
  }
  return all;
}

std::vector<Target> f64_targets() {
  std::vector<Target> all = targets();
  std::erase_if(all, [](const Target &t) { return t.real != CALM_F64; });
  return all;
}

void PrintTo(const Target &target, std::ostream *out) {
  *out << target.backend << " " << dtype_name(target.real);
}

std::string target_name(const testing::TestParamInfo<Target> &info) {
  return info.param.backend + "_" + std::string(dtype_name(info.param.real));
}

Device::Device(const Target &target, std::uint32_t threads)
    : target_(target),
      pool_(threads),
      host_(pool_),
      session_(std::make_unique<run::Session>(registry().backend(target.backend), target.backend, 0,
                                              *host_.table())) {}

graph::OperatorLookup operator_lookup() {
  return
      [](std::string_view id, std::uint32_t revision) { return ops::find_operator(id, revision); };
}

calm_type type_of(const Array &array, calm_dtype real) {
  calm_type type{};
  type.dtype = array.dtype == kReal ? real : array.dtype;
  type.rank = static_cast<std::uint32_t>(array.shape.size());
  type.axis0 = array.axis0;
  std::copy(array.shape.begin(), array.shape.end(), type.shape);
  return type;
}

Prepared::Prepared(Device &device, const graph::Graph &graph) {
  const graph::Program plan(graph);
  run::SlotBuffers slots{};
  for (std::size_t i = 0; i < graph::kSlots; ++i) {
    const auto slot = static_cast<Slot>(i);
    if (slot != Slot::kWorkspace && plan.slot_bytes(slot) > 0) {
      buffers_[i] = run::Buffer(device.session(), plan.slot_bytes(slot));
      slots[i] = &buffers_[i];
    }
  }
  program_ = device.session().compile(graph, slots);
}

void Prepared::write(Slot slot, std::uint64_t offset, calm_dtype dtype, const Array &array) {
  const std::vector<unsigned char> bytes = encode(dtype, array.values);
  buffer(slot).write(offset, bytes.data(), bytes.size());
}

void Prepared::set(Slot slot, std::string_view name, const Array &array) {
  const graph::Binding &binding = program_->program().binding(slot, name);
  write(slot, binding.offset, binding.type.dtype, array);
}

void Prepared::poison_outputs() {
  const std::vector<unsigned char> poison(program_->program().slot_bytes(Slot::kOutput), 0xff);
  if (!poison.empty()) {
    buffer(Slot::kOutput).write(0, poison.data(), poison.size());
  }
}

void Prepared::run() {
  poison_outputs();
  std::vector<unsigned char> before(program_->program().slot_bytes(Slot::kInput));
  std::vector<unsigned char> after(before.size());
  if (!before.empty()) {
    buffer(Slot::kInput).read(0, before.data(), before.size());
  }
  program_->run();
  if (!after.empty()) {
    buffer(Slot::kInput).read(0, after.data(), after.size());
  }
  EXPECT_EQ(before, after) << "an input was written";
  check_margins();
}

void Prepared::check_margins() const {
  std::vector<unsigned char> bytes(program_->program().slot_bytes(Slot::kOutput));
  if (bytes.empty()) {
    return;
  }
  buffer(Slot::kOutput).read(0, bytes.data(), bytes.size());
  for (const graph::Binding &b : program_->program().bindings()) {
    if (b.slot == Slot::kOutput) {
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(b.offset), b.bytes, 0xff);
    }
  }
  EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](unsigned char b) { return b == 0xff; }))
      << "written beyond an output";
}

Array Prepared::get(Slot slot, std::string_view name) const {
  const graph::Binding &binding = program_->program().binding(slot, name);
  std::vector<unsigned char> bytes(binding.bytes);
  buffer(slot).read(binding.offset, bytes.data(), bytes.size());
  Array out{binding.type.dtype, {}, decode(binding.type.dtype, bytes), binding.type.axis0};
  out.shape.assign(binding.type.shape, binding.type.shape + binding.type.rank);
  return out;
}

PreparedCase::PreparedCase(Device &device, const Case &c) : case_(c) {
  layout_.freeze();
  graph::Graph graph("conformance", bucket_of(c), device.real(), layout_, operator_lookup());
  std::vector<Value> ins;
  for (std::uint32_t i = 0; i < c.ins.size(); ++i) {
    const bool updated = std::any_of(c.updates.begin(), c.updates.end(),
                                     [i](const auto &pair) { return pair.second == i; });
    const calm_type type = type_of(c.ins[i], device.real());
    ins.push_back(!c.ins[i].present ? Value{}
                  : updated         ? graph.stored(name_of("in", i), Slot::kState, type)
                                    : graph.input(name_of("in", i), type));
  }
  const std::vector<Value> outs = graph.emit(c.op, 1, ins, c.attrs);
  n_out_ = static_cast<std::uint32_t>(outs.size());
  for (std::uint32_t i = 0; i < n_out_; ++i) {
    const auto pair = std::find_if(c.updates.begin(), c.updates.end(),
                                   [i](const auto &p) { return p.first == i; });
    if (pair != c.updates.end()) {
      graph.update(outs[i], ins[pair->second]);
    } else if (c.only.empty() || std::count(c.only.begin(), c.only.end(), i) != 0) {
      graph.output(name_of("out", i), outs[i]);
    }
  }
  graph.eliminate_dead_code();
  prepared_ = std::make_unique<Prepared>(device, graph);
}

std::vector<Array> PreparedCase::run() {
  const auto updater = [this](std::uint32_t index, bool of_output) {
    return std::find_if(case_.updates.begin(), case_.updates.end(),
                        [&](const auto &p) { return (of_output ? p.first : p.second) == index; });
  };
  for (std::uint32_t i = 0; i < case_.ins.size(); ++i) {
    if (case_.ins[i].present) {
      const bool updated = updater(i, false) != case_.updates.end();
      prepared_->set(updated ? Slot::kState : Slot::kInput, name_of("in", i), case_.ins[i]);
    }
  }
  prepared_->run();
  std::vector<Array> outs;
  for (std::uint32_t i = 0; i < n_out_; ++i) {
    const auto pair = updater(i, true);
    if (pair != case_.updates.end()) {
      outs.push_back(prepared_->get(Slot::kState, name_of("in", pair->second)));
    } else if (case_.only.empty() || std::count(case_.only.begin(), case_.only.end(), i) != 0) {
      outs.push_back(prepared_->get(Slot::kOutput, name_of("out", i)));
    } else {
      outs.push_back(absent());
    }
  }
  return outs;
}

std::vector<Array> run(Device &device, const Case &c) { return PreparedCase(device, c).run(); }

void expect_refused(const Case &c, const std::string &message) {
  graph::ParamLayout layout;
  graph::Graph graph("refused", {1, 1, 1}, CALM_F32, layout, operator_lookup());
  std::vector<Value> ins;
  for (std::size_t i = 0; i < c.ins.size(); ++i) {
    ins.push_back(c.ins[i].present ? graph.input(name_of("in", i), type_of(c.ins[i], CALM_F32))
                                   : Value{});
  }
  try {
    graph.emit(c.op, 1, ins, c.attrs);
    ADD_FAILURE() << c.op << " was accepted; expected: " << message;
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_EQ(std::string(e.what()), "[" + c.op + "] " + c.op + ": " + message);
  }
}

}  // namespace calm::conformance
