#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/run/session.hpp"

namespace calm::run {

/// A compiled program with its own input, output and state buffers, over shared ones (weights,
/// gradients, moments, metrics). What the training and generation loops drive.
class Stage {
 public:
  /// `shared` names the buffers that outlive the stage; those of a slot left null are made here.
  Stage(Session &session, graph::Graph graph, const SlotBuffers &shared);
  Stage(const Stage &) = delete;
  Stage &operator=(const Stage &) = delete;

  BoundProgram &program() { return *bound_; }
  const BoundProgram &program() const { return *bound_; }
  StepBlock &step() { return bound_->step(); }
  void run() { bound_->run(); }
  /// Starts a run and does not wait; returns its fence.
  std::uint64_t start() { return bound_->start(); }
  void wait(std::uint64_t fence) { bound_->wait(fence); }
  Buffer &state() { return state_; }
  const Buffer &state() const { return state_; }
  Buffer &input() { return input_; }
  const Buffer &output() const { return output_; }
  const graph::Binding &binding(graph::Slot slot, std::string_view name) const {
    return bound_->program().binding(slot, name);
  }

  /// Writes a whole input; `values` must have its size.
  template <class T>
  void write(std::string_view name, const std::vector<T> &values) {
    write_bytes(name, values.data(), values.size() * sizeof(T));
  }
  /// The same without a look at names: `binding` is one of an input, `values` are its bytes.
  void write(const graph::Binding &binding, const void *values) {
    input_.write(binding.offset, values, binding.bytes);
  }
  /// Reads a whole output.
  template <class T>
  void read(std::string_view name, std::vector<T> &out) const {
    const graph::Binding &b = binding(graph::Slot::kOutput, name);
    out.resize(b.bytes / sizeof(T));
    output_.read(b.offset, out.data(), b.bytes);
  }

 private:
  void write_bytes(std::string_view name, const void *src, std::uint64_t bytes);

  Buffer input_, output_, state_;
  std::unique_ptr<BoundProgram> bound_;  // destroyed before the buffers it is bound to
};

/// The entry of a slot in a table of buffers.
inline Buffer *&slot_of(SlotBuffers &buffers, graph::Slot slot) {
  return buffers[static_cast<std::uint32_t>(slot)];
}

}  // namespace calm::run
