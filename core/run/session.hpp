#pragma once

#include <calm/backend.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/program.hpp"
#include "core/run/backend_options.hpp"

namespace calm::run {

class Session;

/// Device memory, zeroed when made. Returned to its session when destroyed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Session &session, std::uint64_t bytes);
  ~Buffer();
  Buffer(Buffer &&other) noexcept;
  Buffer &operator=(Buffer &&other) noexcept;

  explicit operator bool() const { return handle_ != nullptr; }
  calm_buffer *handle() const { return handle_; }
  std::uint64_t bytes() const { return bytes_; }
  void write(std::uint64_t offset, const void *src, std::uint64_t bytes);
  void read(std::uint64_t offset, void *dst, std::uint64_t bytes) const;
  void copy_from(std::uint64_t offset, const Buffer &src, std::uint64_t src_offset,
                 std::uint64_t bytes);

 private:
  Session *session_ = nullptr;
  calm_buffer *handle_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// The buffers of a run by slot; a program uses those it needs. The workspace belongs to the
/// session.
using SlotBuffers = std::array<Buffer *, graph::kSlots>;

/// The step-value block of one program: set values by name, hand it to run().
class StepBlock {
 public:
  /// A value's entry, for a loop that sets it at every step: looked up once. Null when the program
  /// does not use that name.
  using Place = const graph::StepValue *;

  explicit StepBlock(const graph::Program &program);
  Place place(std::string_view name) const;
  /// Converts to the declared dtype; values the program does not use are ignored.
  void set(Place place, double value);
  void set_integer(Place place, std::int64_t value);
  void set(std::string_view name, double value) { set(place(name), value); }
  void set_integer(std::string_view name, std::int64_t value) { set_integer(place(name), value); }
  std::span<const unsigned char> bytes() const { return bytes_; }

 private:
  const std::vector<graph::StepValue> *values_;
  std::vector<unsigned char> bytes_;
};

/// A compiled and bound program. Move-only; must not outlive its session.
class BoundProgram {
 public:
  /// Compiled and bound by Session::compile.
  BoundProgram(Session &session, std::unique_ptr<graph::Program> program,
               const SlotBuffers &buffers);
  ~BoundProgram();
  BoundProgram(const BoundProgram &) = delete;
  BoundProgram &operator=(const BoundProgram &) = delete;

  const graph::Program &program() const { return *program_; }
  StepBlock &step() { return step_; }
  /// Starts a run with the present step block, which may then change; copies and runs after it wait
  /// for it on the device. Returns its fence.
  std::uint64_t start();
  /// Waits for a run, and for all before it. Their failures surface here.
  void wait(std::uint64_t fence);
  /// Starts a run and waits for it.
  void run() { wait(start()); }
  /// Of the workspace, as the backend lays it out.
  std::uint64_t workspace_bytes() const { return workspace_bytes_; }
  /// The backend's text about its kernels.
  std::string info() const;

 private:
  friend class Session;
  std::uint64_t needed(graph::Slot slot) const;
  void bind();
  void unbind();

  Session *session_;
  std::unique_ptr<graph::Program> program_;
  calm_executable *executable_ = nullptr;
  calm_binding *binding_ = nullptr;
  std::uint64_t workspace_bytes_ = 0;
  SlotBuffers buffers_;
  StepBlock step_;
};

/// An open device of a backend. Owns the workspace all of its programs share: many buckets cost
/// one.
class Session {
 public:
  /// `backend` and `host` must outlive the session. `path` is the plugin's file. The backend
  /// refuses an option that it does not know with CALM_INVALID_ARGUMENT.
  Session(const calm_backend &backend, std::string name, std::uint32_t device,
          const calm_host &host, std::string path = {}, const BackendOptions &options = {});
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  const std::string &name() const { return name_; }
  /// `backend "cuda" of PATH`: who to name when a result cannot be.
  std::string who() const;
  const calm_backend &backend() const { return *backend_; }
  calm_session *handle() const { return handle_; }

  /// Lowers what the backend refuses until it accepts every node, and plans the storage.
  std::unique_ptr<graph::Program> plan(graph::Graph graph);
  /// Compiles what plan() gave, and binds it.
  std::unique_ptr<BoundProgram> compile(std::unique_ptr<graph::Program> program,
                                        const SlotBuffers &buffers);

 private:
  friend class BoundProgram;
  void grow_workspace(std::uint64_t bytes);

  const calm_backend *backend_;
  std::string name_;
  std::string path_;
  calm_session *handle_ = nullptr;
  Buffer workspace_;
  std::vector<BoundProgram *> bound_;  // re-bound when the workspace grows
};

}  // namespace calm::run
