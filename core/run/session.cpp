#include "core/run/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <calm/cpp/error.hpp>

namespace calm::run {

using graph::Slot;

Buffer::Buffer(Session &session, std::uint64_t bytes) : session_(&session), bytes_(bytes) {
  call(session.backend().alloc, session.handle(), bytes, &handle_);
}

Buffer::~Buffer() {
  if (handle_ != nullptr) {
    session_->backend().free(session_->handle(), handle_);
  }
}

Buffer::Buffer(Buffer &&other) noexcept
    : session_(other.session_),
      handle_(std::exchange(other.handle_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer &Buffer::operator=(Buffer &&other) noexcept {
  std::swap(session_, other.session_);
  std::swap(handle_, other.handle_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Buffer::write(std::uint64_t offset, const void *src, std::uint64_t bytes) {
  call(session_->backend().write, session_->handle(), handle_, offset, src, bytes);
}

void Buffer::read(std::uint64_t offset, void *dst, std::uint64_t bytes) const {
  call(session_->backend().read, session_->handle(), handle_, offset, dst, bytes);
}

void Buffer::copy_from(std::uint64_t offset, const Buffer &src, std::uint64_t src_offset,
                       std::uint64_t bytes) {
  call(session_->backend().copy, session_->handle(), handle_, offset, src.handle_, src_offset,
       bytes);
}

StepBlock::StepBlock(const graph::Program &program)
    : values_(&program.step_values()), bytes_(program.step_bytes()) {}

StepBlock::Place StepBlock::place(std::string_view name) const {
  const auto at = std::find_if(values_->begin(), values_->end(),
                               [name](const graph::StepValue &v) { return v.name == name; });
  return at == values_->end() ? nullptr : &*at;
}

void StepBlock::set(Place place, double value) {
  if (place == nullptr) {
    return;
  }
  const auto put = [&](auto typed) {
    std::memcpy(bytes_.data() + place->offset, &typed, sizeof typed);
  };
  switch (place->dtype) {
    case CALM_F32:
      put(static_cast<float>(value));
      break;
    case CALM_F64:
      put(value);
      break;
    default:
      throw Error(CALM_INTERNAL, "step value " + place->name + " is not real");
  }
}

void StepBlock::set_integer(Place place, std::int64_t value) {
  if (place == nullptr) {
    return;
  }
  const auto put = [&](auto typed) {
    std::memcpy(bytes_.data() + place->offset, &typed, sizeof typed);
  };
  switch (place->dtype) {
    case CALM_I32:
      put(static_cast<std::int32_t>(value));
      break;
    case CALM_I64:
      put(value);
      break;
    default:
      throw Error(CALM_INTERNAL, "step value " + place->name + " is not an integer");
  }
}

BoundProgram::BoundProgram(Session &session, std::unique_ptr<graph::Program> program,
                           const SlotBuffers &buffers)
    : session_(&session), program_(std::move(program)), buffers_(buffers), step_(*program_) {
  session.bound_.push_back(this);
}

BoundProgram::~BoundProgram() {
  unbind();
  if (executable_ != nullptr) {
    session_->backend().release(session_->handle(), executable_);
  }
  std::erase(session_->bound_, this);
}

std::uint64_t BoundProgram::needed(Slot slot) const {
  return slot == Slot::kWorkspace ? workspace_bytes_ : program_->slot_bytes(slot);
}

void BoundProgram::bind() {
  std::array<calm_buffer *, graph::kSlots> handles{};
  for (std::uint32_t i = 0; i < graph::kSlots; ++i) {
    const auto slot = static_cast<Slot>(i);
    const std::uint64_t bytes = needed(slot);
    if (bytes == 0) {
      continue;
    }
    if (buffers_[i] == nullptr || buffers_[i]->bytes() < bytes) {
      throw Error(CALM_INTERNAL, "program " + copy(program_->table().name) + ": slot " +
                                     std::string(slot_name(slot)) + " needs " +
                                     std::to_string(bytes) + " bytes");
    }
    handles[i] = buffers_[i]->handle();
  }
  call(session_->backend().bind, session_->handle(), executable_, handles.data(), graph::kSlots,
       &binding_);
}

void BoundProgram::unbind() {
  if (binding_ != nullptr) {
    session_->backend().unbind(session_->handle(), std::exchange(binding_, nullptr));
  }
}

std::uint64_t BoundProgram::start() {
  if (binding_ == nullptr) {
    bind();  // memory ended when it was to be bound to another workspace
  }
  std::uint64_t fence = 0;
  const auto block = step_.bytes();
  call(session_->backend().run, session_->handle(), binding_, block.data(), block.size(), &fence);
  return fence;
}

void BoundProgram::wait(std::uint64_t fence) {
  call(session_->backend().wait, session_->handle(), fence);
}

std::string BoundProgram::info() const {
  calm_executable_info info{};
  info.size = sizeof info;
  call(session_->backend().info, session_->handle(), executable_, &info);
  return copy(info.dump);
}

Session::Session(const calm_backend &backend, std::string name, std::uint32_t device,
                 const calm_host &host, std::string path, const BackendOptions &options)
    : backend_(&backend), name_(std::move(name)), path_(std::move(path)) {
  std::vector<calm_value> records;
  records.reserve(options.size());
  for (const OwnedValue &option : options) {
    records.push_back(option.record());
  }
  call(backend.open, device, table(records), &host, &handle_);
}

std::string Session::who() const {
  return "backend \"" + name_ + "\"" + (path_.empty() ? path_ : " of " + path_);
}

Session::~Session() {
  workspace_ = Buffer();
  backend_->close(handle_);
}

void Session::grow_workspace(std::uint64_t bytes) {
  if (bytes <= workspace_.bytes()) {
    return;
  }
  std::vector<BoundProgram *> rebound;
  for (BoundProgram *program : bound_) {
    if (program->binding_ != nullptr) {
      program->unbind();
      rebound.push_back(program);
    }
  }
  const std::uint64_t before = workspace_.bytes();
  workspace_ = Buffer();  // frees before it allocates: the peak is the new size
  try {
    workspace_ = Buffer(*this, bytes);
  } catch (const Error &) {
    if (before != 0) {
      workspace_ = Buffer(*this, before);  // programs bind to it when they start
    }
    throw;
  }
  for (BoundProgram *program : rebound) {
    program->bind();
  }
}

std::unique_ptr<graph::Program> Session::plan(graph::Graph graph) {
  graph.eliminate_dead_code();
  for (;;) {
    auto program = std::make_unique<graph::Program>(graph);
    std::vector<calm_verdict> verdicts(graph.nodes().size());
    call(backend_->supports, handle_, &program->table(), verdicts.data());
    std::vector<bool> refused;
    std::vector<std::string> reasons;
    for (const calm_verdict &v : verdicts) {
      refused.push_back(v.supported == 0);
      reasons.push_back("backend " + name_ + ": " +
                        std::string(v.reason, strnlen(v.reason, sizeof v.reason)));
    }
    if (std::find(refused.begin(), refused.end(), true) == refused.end()) {
      return program;
    }
    graph.lower(refused, reasons);
  }
}

std::unique_ptr<BoundProgram> Session::compile(std::unique_ptr<graph::Program> program,
                                               const SlotBuffers &buffers) {
  SlotBuffers bound = buffers;
  bound[static_cast<std::uint32_t>(Slot::kWorkspace)] = &workspace_;
  // What the backend gives has an owner before it is given.
  auto result = std::make_unique<BoundProgram>(*this, std::move(program), bound);
  call(backend_->compile, handle_, &result->program().table(), calm_table{}, &result->executable_);
  calm_executable_info info{};
  info.size = sizeof info;
  calm_error error{};
  const bool told = backend_->info(handle_, result->executable_, &info, &error) == CALM_OK;
  const std::uint64_t bytes = told && info.replanned != 0
                                  ? info.workspace_bytes
                                  : result->program().slot_bytes(Slot::kWorkspace);
  grow_workspace(bytes);
  result->workspace_bytes_ = bytes;
  result->bind();
  return result;
}

}  // namespace calm::run
