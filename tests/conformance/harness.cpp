#include "tests/conformance/harness.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <sstream>

#include <calm/cpp/error.hpp>

#include "core/graph/program.hpp"
#include "core/ops/table.hpp"
#include "core/plugin/registry.hpp"
#include "tests/conformance/encode.hpp"

namespace calm::conformance {

using graph::Slot;

namespace {

// NaN in every real dtype, an index far out in integers.
constexpr unsigned char kPoison = 0xff;

// Libraries stay loaded until the process ends, so one registry serves every test.
PluginRegistry &registry() {
  static PluginRegistry instance([] {
    SearchOptions options;
    const char *const other = std::getenv("CALM_TEST_PLUGINS");  // tests/cuda
    options.plugin_path = {other == nullptr ? CALM_TEST_PLUGINS : other};
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

std::vector<std::string> wanted_backends() {
  const char *given = std::getenv("CALM_TEST_BACKENDS");
  std::istringstream names(given == nullptr ? "" : given);
  return {std::istream_iterator<std::string>(names), std::istream_iterator<std::string>()};
}

run::BackendOptions wanted_options() {
  const char *given = std::getenv("CALM_TEST_BACKEND_OPTIONS");
  return run::parse_backend_options(given == nullptr ? "" : given, "CALM_TEST_BACKEND_OPTIONS");
}

double operand_roundoffs() {
  for (const OwnedValue &option : wanted_options()) {
    const calm_value value = option.record();
    if (view(value.name) == "precision" && value.type == CALM_VALUE_STR) {
      return view(value.str) == "bf16" ? 0x1p16 : view(value.str) == "tf32" ? 0x1p13 : 1;
    }
  }
  return 1;
}

namespace {

bool is_wanted(const std::string &id) {
  const std::vector<std::string> wanted = wanted_backends();
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), id) != wanted.end();
}

}  // namespace

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const std::string &id : registry().ids("backend")) {
    if (!is_wanted(id)) {
      continue;
    }
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

std::vector<std::pair<std::string, std::string>> without_device() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const std::string &id : registry().ids("backend")) {
    std::uint32_t devices = 0;
    calm_error error{};
    if (is_wanted(id) &&
        (registry().backend(id).devices(&devices, &error) != CALM_OK || devices == 0)) {
      all.emplace_back(id, error.message);
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

Device::Device(const Target &target, std::uint32_t threads, const run::BackendOptions &options)
    : target_(target),
      pool_(threads),
      host_(pool_),
      session_(std::make_unique<run::Session>(registry().backend(target.backend), target.backend, 0,
                                              *host_.table(), std::string(), options)) {}

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

Prepared::Prepared(Device &device, const graph::Graph &graph)
    : session_(&device.session()), plan_(session_->plan(graph)), program_(*plan_), step_(*plan_) {
  call(session_->backend().compile, session_->handle(), &program_.table(), calm_table{},
       &executable_);
  calm_executable_info info{};
  info.size = sizeof info;
  call(session_->backend().info, session_->handle(), executable_, &info);
  std::array<calm_buffer *, graph::kSlots> handles{};
  for (std::uint32_t i = 0; i < graph::kSlots; ++i) {
    std::uint64_t bytes = program_.slot_bytes(i);
    zones_[i] = program_.zones(i);
    if (info.replanned != 0 && static_cast<Slot>(i) == Slot::kWorkspace) {
      bytes = info.workspace_bytes + SpacedProgram::kZone;
      zones_[i] = {{info.workspace_bytes, bytes}};
    }
    if (bytes > 0) {
      buffers_[i] = run::Buffer(*session_, bytes);
      handles[i] = buffers_[i].handle();
      const std::vector<unsigned char> filled(bytes, kPoison);
      buffers_[i].write(0, filled.data(), filled.size());
    }
  }
  call(session_->backend().bind, session_->handle(), executable_, handles.data(), graph::kSlots,
       &binding_);
}

Prepared::~Prepared() {
  if (binding_ != nullptr) {
    session_->backend().unbind(session_->handle(), binding_);
  }
  if (executable_ != nullptr) {
    session_->backend().release(session_->handle(), executable_);
  }
}

void Prepared::write(Slot slot, std::uint64_t offset, calm_dtype dtype, const Array &array) {
  const std::vector<unsigned char> bytes = encode(dtype, array.values);
  buffer(slot).write(program_.moved(slot, offset), bytes.data(), bytes.size());
}

void Prepared::set(Slot slot, std::string_view name, const Array &array) {
  const graph::Binding &binding = plan_->binding(slot, name);
  write(slot, binding.offset, binding.type.dtype, array);
}

std::vector<unsigned char> Prepared::contents(std::uint32_t slot) const {
  std::vector<unsigned char> bytes(buffers_[slot].bytes());
  if (!bytes.empty()) {
    buffers_[slot].read(0, bytes.data(), bytes.size());
  }
  return bytes;
}

void Prepared::poison() {
  for (const Slot slot : {Slot::kOutput, Slot::kWorkspace}) {
    const std::vector<unsigned char> bytes(buffer(slot).bytes(), kPoison);
    if (!bytes.empty()) {
      buffer(slot).write(0, bytes.data(), bytes.size());
    }
  }
}

void Prepared::run() {
  poison();
  const auto input = static_cast<std::uint32_t>(Slot::kInput);
  const std::vector<unsigned char> before = contents(input);
  std::uint64_t fence = 0;
  const auto block = step_.bytes();
  call(session_->backend().run, session_->handle(), binding_, block.data(), block.size(), &fence);
  call(session_->backend().wait, session_->handle(), fence);
  EXPECT_EQ(before, contents(input)) << "an input was written";
  check_zones();
}

void Prepared::check_zones() const {
  for (std::uint32_t slot = 0; slot < graph::kSlots; ++slot) {
    const std::vector<unsigned char> bytes = contents(slot);
    for (const SpacedProgram::Range &zone : zones_[slot]) {
      for (std::uint64_t i = zone.begin; i < zone.end; ++i) {
        if (bytes[i] != kPoison) {
          ADD_FAILURE() << "written between the tensors of slot "
                        << graph::slot_name(static_cast<Slot>(slot)) << ", " << i - zone.begin
                        << " bytes behind one and " << zone.end - i << " before the next";
          break;
        }
      }
    }
  }
}

Array Prepared::get(Slot slot, std::string_view name) const {
  const graph::Binding &binding = plan_->binding(slot, name);
  return read(slot, binding.offset, binding.type);
}

Array Prepared::read(Slot slot, std::uint64_t offset, const calm_type &type) const {
  std::vector<unsigned char> bytes(bytes_of(type));
  buffer(slot).read(program_.moved(slot, offset), bytes.data(), bytes.size());
  Array out{type.dtype, {}, decode(type.dtype, bytes), type.axis0};
  out.shape.assign(type.shape, type.shape + type.rank);
  return out;
}

bool PreparedCase::is_step(std::size_t operand) const {
  const Array &in = case_.ins[operand];
  return scalars_ == Scalars::kStepValues && in.present && in.shape.empty() &&
         update_of(static_cast<std::uint32_t>(operand), false) == nullptr;
}

// The pair that overwrites operand `index`, or in which output `index` does.
const std::pair<std::uint32_t, std::uint32_t> *PreparedCase::update_of(std::uint32_t index,
                                                                       bool of_output) const {
  for (const auto &pair : case_.updates) {
    if ((of_output ? pair.first : pair.second) == index) {
      return &pair;
    }
  }
  return nullptr;
}

PreparedCase::PreparedCase(Device &device, const Case &c, Scalars scalars)
    : case_(c), scalars_(scalars) {
  layout_.freeze();
  graph::Graph graph("conformance", bucket_of(c), device.real(), layout_, operator_lookup());
  std::vector<Value> ins;
  for (std::uint32_t i = 0; i < c.ins.size(); ++i) {
    const calm_type type = type_of(c.ins[i], device.real());
    const bool updated = update_of(i, false) != nullptr;
    ins.push_back(!c.ins[i].present ? Value{}
                  : is_step(i)      ? graph.step_value(name_of("in", i), type.dtype)
                  : updated         ? graph.stored(name_of("in", i), Slot::kState, type)
                                    : graph.input(name_of("in", i), type));
  }
  const std::vector<Value> outs = graph.emit(c.op, 1, ins, c.attrs);
  n_out_ = static_cast<std::uint32_t>(outs.size());
  for (std::uint32_t i = 0; i < n_out_; ++i) {
    if (const auto *pair = update_of(i, true); pair != nullptr) {
      graph.update(outs[i], ins[pair->second]);
    } else if (c.only.empty() || std::count(c.only.begin(), c.only.end(), i) != 0) {
      graph.output(name_of("out", i), outs[i]);
    }
  }
  graph.eliminate_dead_code();
  prepared_ = std::make_unique<Prepared>(device, graph);
}

std::vector<Array> PreparedCase::run() {
  exercised(Kind::kHand, case_.op, describe_case(case_));
  for (std::uint32_t i = 0; i < case_.ins.size(); ++i) {
    const Array &in = case_.ins[i];
    if (!in.present) {
      continue;
    }
    if (!is_step(i)) {
      const bool updated = update_of(i, false) != nullptr;
      prepared_->set(updated ? Slot::kState : Slot::kInput, name_of("in", i), in);
    } else if (in.dtype == kReal) {
      prepared_->step().set(name_of("in", i), in.values[0]);
    } else {
      prepared_->step().set_integer(name_of("in", i), static_cast<std::int64_t>(in.values[0]));
    }
  }
  prepared_->run();
  std::vector<Array> outs;
  for (std::uint32_t i = 0; i < n_out_; ++i) {
    if (const auto *pair = update_of(i, true); pair != nullptr) {
      outs.push_back(prepared_->get(Slot::kState, name_of("in", pair->second)));
    } else if (case_.only.empty() || std::count(case_.only.begin(), case_.only.end(), i) != 0) {
      outs.push_back(prepared_->get(Slot::kOutput, name_of("out", i)));
    } else {
      outs.push_back(absent());
    }
  }
  return outs;
}

std::string describe_case(const Case &c) {
  std::string text = c.op + "(";
  for (std::size_t i = 0; i < c.ins.size(); ++i) {
    text += i == 0 ? "" : ", ";
    text += c.ins[i].present ? describe(type_of(c.ins[i], CALM_F32)) : std::string("absent");
    if (c.ins[i].present && c.ins[i].shape.empty()) {
      text += " " + std::to_string(c.ins[i].values[0]);
    }
  }
  return text + ")";
}

std::vector<Array> run(Device &device, const Case &c) { return PreparedCase(device, c).run(); }

void expect_refused(const Case &c, const std::string &message) {
  exercised(Kind::kRefused, c.op, message);
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
