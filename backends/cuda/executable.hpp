// A compiled program: its nodes with a kernel each, and where every operand lies. A binding is a
// captured graph of all its launches; a run replays it. With several ranks it is the graphs between
// their sums, which are not captured: NCCL asks all ranks to capture together and to replay what
// came of that, and each rank binds its own buckets when it meets them. A sum has a stream of its
// own, so that the next graph runs meanwhile.
#pragma once

#include <calm/backend.h>

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/graph.hpp"
#include "cuda/memory.hpp"
#include "cuda/session.hpp"
#include "reference/program.hpp"

namespace calm::cuda {

struct Executable {
  std::vector<Node> nodes;
  std::vector<std::uint32_t> joins;      // of the two streams (graph.hpp)
  std::vector<std::uint32_t> sum_joins;  // of the first stream and that of sums
  std::vector<reference::Place> places;  // of all operands, node after node
  std::vector<std::uint64_t> slot_bytes;
  std::vector<std::string> slot_names;
  DeviceMemory constants;
  std::shared_ptr<DeviceMemory> scratch;
  std::uint64_t step_bytes = 0;
  std::uint64_t scratch_bytes = 0;  // the largest node's
  std::uint32_t fused = 0;          // nodes that went into others
  std::uint64_t workspace_bytes = 0;
  std::string dump;
};

/// One thing a run puts on the stream: a graph, or without one a sum over the ranks that begins,
/// or, of nothing, waiting for all that began.
struct Part {
  cudaGraphExec_t graph = nullptr;
  const float *x = nullptr;
  float *y = nullptr;
  std::size_t count = 0;
};

struct Binding {
  explicit Binding(Session &owner) : session(&owner) {}
  ~Binding();
  Binding(const Binding &) = delete;
  Binding &operator=(const Binding &) = delete;

  Session *session;
  const Executable *executable = nullptr;
  DeviceMemory step;  // this run's step values
  std::vector<Part> parts;
};

/// One verdict a node: exactly the nodes that `resolve` refuses as unsupported are not supported.
void judge_nodes(const calm_program *program, calm_verdict *out_verdicts);

/// Copies the program, chooses kernels and grows the session's scratch memory. Throws NodeError or
/// Error: INVALID_ARGUMENT for a malformed program, UNSUPPORTED for a node without a kernel.
/// With several ranks the first program that adds up over them is collective: they meet.
Executable *compile(Session &session, const calm_program *program, calm_table options);

/// Captures the program's launches on these buffers.
Binding *bind(Session &session, const Executable &executable, calm_buffer *const *buffers,
              std::uint32_t count);

/// Puts one run on the stream and returns its fence.
std::uint64_t run(Session &session, Binding &binding, const void *step_values, std::uint64_t bytes);

}  // namespace calm::cuda
