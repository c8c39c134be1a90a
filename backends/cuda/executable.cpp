#include "cuda/executable.hpp"

#include <calm/ops/all_reduce.h>
#include <calm/ops/matmul.h>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "cuda/capture.hpp"
#include "cuda/error.hpp"
#include "cuda/kernel_table.hpp"
#include "cuda/kernels/product.hpp"
#include "reference/program.hpp"
#include "reference/validate.hpp"

namespace calm::cuda {
namespace {

using reference::about;
using reference::Place;

constexpr std::uint64_t kAlign = 256;  // what the runtime aligns memory to

constexpr std::string_view kFinishes[] = {"", " + add", " + gelu"};

std::string line_of(const Node &node) {
  std::string text = reference::line_of(node);
  text.pop_back();
  return text + std::string(kFinishes[static_cast<std::size_t>(node.finish)]) +
         (node.side ? "  beside\n" : "\n");
}

std::string dump_of(const Executable &executable, calm_str name, bool ranks) {
  const std::vector<Node> &nodes = executable.nodes;
  const auto sums = ranks ? std::count_if(nodes.begin(), nodes.end(), is_sum) : 0;
  std::string text =
      "program " + copy(name) + ": " + std::to_string(nodes.size()) + " nodes in " +
      (sums == 0 ? "one graph" : "graphs between " + std::to_string(sums) + " sums by NCCL") +
      ", fused " + std::to_string(executable.fused) + ", workspace " +
      std::to_string(executable.workspace_bytes) + " bytes, scratch " +
      std::to_string(executable.scratch_bytes) + " bytes\n";
  for (const Node &node : nodes) {
    text += line_of(node);
  }
  return text;
}

std::vector<void *> addresses(const Executable &executable, const Binding &binding,
                              calm_buffer *const *buffers) {
  std::vector<void *> operands;
  for (const Place &place : executable.places) {
    std::byte *base = nullptr;
    switch (place.in) {
      case Place::In::kNothing:
        break;
      case Place::In::kSlot:
        base = buffers[place.slot] == nullptr
                   ? nullptr
                   : reinterpret_cast<Buffer *>(buffers[place.slot])->memory.data();
        break;
      case Place::In::kConstants:
        base = executable.constants.data();
        break;
      case Place::In::kStep:
        base = binding.step.data();
        break;
    }
    operands.push_back(base == nullptr ? nullptr : base + place.offset);
  }
  return operands;
}

/// Puts nodes on the two streams. The second takes part in a capture from the first node it is
/// given.
class Launcher {
 public:
  Launcher(Session &session, const Executable &executable, const std::vector<void *> &operands)
      : session_(session), executable_(executable), operands_(operands) {}

  /// The nodes [begin, end).
  void launch(std::size_t begin, std::size_t end) {
    const std::vector<Node> &nodes = executable_.nodes;
    for (std::size_t i = begin; i < end;) {
      join(i);
      std::vector<Launch> group;
      do {
        group.emplace_back(nodes[i], operands_.data() + nodes[i].first, executable_.scratch->data(),
                           session_.counter(), session_.blas(),
                           nodes[i].side ? session_.side_stream() : session_.stream());
        ++i;
      } while (i < end && joined(nodes[i - 1], nodes[i]));
      run(group);
    }
    if (beside_) {
      wait_for_all();
    }
  }

 private:
  Event &forked() { return session_.order(0); }
  Event &given(bool odd) { return session_.order(odd ? 1 : 2); }

  void run(const std::vector<Launch> &group) {
    const Node &first = group.front().node();
    try {
      if (first.side) {
        forked().record(session_.stream());
        forked().hold(session_.side_stream());
        beside_ = true;
      }
      if (first.join != nullptr) {
        first.join(group.data(), group.size());
      } else {
        first.launch(group.front());
      }
      check(cudaPeekAtLastError(), "launching");
    } catch (const Error &e) {
      throw about(first, e);
    }
  }

  void join(std::size_t node) {
    const std::vector<std::uint32_t> &joins = executable_.joins;
    if (!beside_ || !std::binary_search(joins.begin(), joins.end(), node)) {
      return;
    }
    if (waits_for_all(executable_.nodes[node])) {
      wait_for_all();
      return;
    }
    if (marked_) {
      given(odd_).hold(session_.stream());
    }
    odd_ = !odd_;
    given(odd_).record(session_.side_stream());
    marked_ = true;
  }

  void wait_for_all() {
    given(odd_).record(session_.side_stream());
    given(odd_).hold(session_.stream());
    beside_ = false;
    marked_ = false;
  }

  Session &session_;
  const Executable &executable_;
  const std::vector<void *> &operands_;
  bool beside_ = false;  // the second stream has work the first has not waited for
  bool marked_ = false;  // at the last join
  bool odd_ = false;
};

/// Lets cuBLASLt's algorithms be chosen by time, which is only now possible: an operand's offset
/// says how far its address will be aligned, as buffers are to kAlign.
void time_products(Session &session, const Executable &executable) {
  std::vector<Product> products;
  for (const Node &node : executable.nodes) {
    if (node.op != CALM_OP_MATMUL) {
      continue;
    }
    std::vector<void *> operands;
    for (std::size_t i = 0; i < node.ins.size() + node.outs.size(); ++i) {
      const Place &place = executable.places[node.first + i];
      operands.push_back(place.in == Place::In::kNothing
                             ? nullptr
                             : reinterpret_cast<void *>(kAlign + place.offset));
    }
    const Product p = product_of(
        Launch(node, operands.data(), nullptr, nullptr, session.blas(), session.stream()));
    if (p.out != nullptr && p.m > 0 && p.n > 0 && p.k > 0) {
      products.push_back(p);
    }
  }
  session.synchronize();
  session.blas().prepare(products);
}

/// Errors name the node.
void for_each_node(Graph &graph, void (*visit)(Node &)) {
  for (Node &node : graph.nodes) {
    try {
      visit(node);
    } catch (const Error &e) {
      throw about(node, e);
    }
  }
}

/// Every sum over the ranks, and the nodes between them as graphs. Alone: one graph.
void capture_all(Session &session, const Executable &executable,
                 const std::vector<void *> &operands, std::vector<Part> &parts) {
  const std::vector<Node> &nodes = executable.nodes;
  const auto add = [&](std::size_t begin, std::size_t end) {
    // Its place first: then a graph has an owner once there is one.
    Part &part = parts.emplace_back();
    part.graph = capture(session.stream(),
                         [&] { Launcher(session, executable, operands).launch(begin, end); });
    check(cudaGraphUpload(part.graph, session.stream()), "uploading the graph");
  };
  const std::vector<std::uint32_t> &joins = executable.sum_joins;
  std::size_t begin = 0;
  for (std::size_t i = 0; session.ranks() != nullptr && i < nodes.size(); ++i) {
    const bool join = std::binary_search(joins.begin(), joins.end(), i);
    if (!join && !is_sum(nodes[i])) {
      continue;
    }
    if (begin < i) {
      add(begin, i);
    }
    begin = i;
    if (join) {
      parts.emplace_back();
    }
    if (!is_sum(nodes[i])) {
      continue;
    }
    begin = i + 1;
    Part sum;
    sum.x = static_cast<const float *>(operands[nodes[i].first + CALM_ALL_REDUCE_X]);
    sum.y = static_cast<float *>(operands[nodes[i].first + nodes[i].ins.size()]);
    sum.count = count(nodes[i].ins[CALM_ALL_REDUCE_X]);
    if (sum.y != nullptr && sum.count > 0) {  // the same on every rank
      parts.push_back(sum);
    }
  }
  if (begin < nodes.size() || begin == 0) {
    add(begin, nodes.size());
  }
}

}  // namespace

Binding::~Binding() {
  if (session->ranks() != nullptr) {
    session->settle();
  } else if (!parts.empty()) {
    static_cast<void>(cudaStreamSynchronize(session->stream()));
  }
  for (const Part &part : parts) {
    if (part.graph != nullptr) {
      static_cast<void>(cudaGraphExecDestroy(part.graph));
    }
  }
}

void judge_nodes(const calm_program *program, calm_verdict *out_verdicts) {
  reference::validate(program);
  for (std::uint32_t i = 0; i < program->nodes.count; ++i) {
    Node node;
    static_cast<reference::Node &>(node) = reference::copy_node(*program, i);
    calm_verdict &verdict = out_verdicts[i];
    verdict = {};
    verdict.supported = 1;
    try {
      resolve(node);
    } catch (const Error &e) {
      if (e.status() != CALM_UNSUPPORTED) {
        throw about(node, e);
      }
      verdict.supported = 0;
      std::string_view(e.what()).copy(verdict.reason, sizeof verdict.reason - 1);
    }
  }
}

Executable *compile(Session &session, const calm_program *program, calm_table options) {
  if (options.count != 0) {
    throw Error(CALM_INVALID_ARGUMENT, "compile: the cuda backend has no option \"" +
                                           copy(record<calm_value>(options, 0).name) + "\"");
  }
  Graph graph = inspect(*program);
  for_each_node(graph, resolve);
  fuse(graph);
  make_views(graph);
  if (session.precision() == Precision::kBf16) {
    store_as_bf16(graph);
    pad_products(graph);
  }
  fuse_products(graph, session.blas());
  if (session.ranks() != nullptr) {
    start_sums_early(graph);
  }
  for_each_node(graph, choose_kernel);
  place(graph);
  auto executable = std::make_unique<Executable>();
  for (std::uint32_t i = 0; i < program->slots.count; ++i) {
    const auto &slot = record<calm_slot>(program->slots, i);
    executable->slot_bytes.push_back(i == graph.workspace ? graph.workspace_bytes : slot.bytes);
    executable->slot_names.push_back(copy(slot.name));
  }
  for (Node &node : graph.nodes) {
    node.first = executable->places.size();
    for (const std::uint32_t id : node.operands) {
      executable->places.push_back(id == CALM_NONE ? Place{} : graph.values[id].place);
    }
    executable->scratch_bytes = std::max<std::uint64_t>(executable->scratch_bytes, node.scratch);
  }
  executable->joins = joins_of(graph.nodes);
  executable->sum_joins = joins_of_sums(graph);
  executable->nodes = std::move(graph.nodes);
  executable->fused = graph.fused;
  executable->workspace_bytes = graph.workspace_bytes;
  executable->constants = DeviceMemory(program->constant_bytes, session.stream());
  session.uploads().add(executable->constants.data(), program->constants, program->constant_bytes);
  session.uploads().flush();  // nothing waits for memory that ends without the session's knowing
  executable->step_bytes = program->step_bytes;
  executable->dump = dump_of(*executable, program->name, session.ranks() != nullptr);
  executable->scratch = session.scratch(executable->scratch_bytes);
  session.reserve_step(executable->step_bytes);
  if (session.blas().timed()) {
    time_products(session, *executable);
  }
  // Last: what fails on one rank alone fails before it keeps the others waiting.
  const std::vector<Node> &nodes = executable->nodes;
  if (session.ranks() != nullptr && std::any_of(nodes.begin(), nodes.end(), is_sum)) {
    session.ranks()->connect();
  }
  return executable.release();
}

Binding *bind(Session &session, const Executable &executable, calm_buffer *const *buffers,
              std::uint32_t count) {
  reference::check_buffers<Buffer>(session, executable.slot_bytes, executable.slot_names, buffers,
                                   count);
  auto binding = std::make_unique<Binding>(session);
  binding->executable = &executable;
  binding->step = DeviceMemory(executable.step_bytes, session.stream());
  const std::vector<void *> operands = addresses(executable, *binding, buffers);
  capture_all(session, executable, operands, binding->parts);
  return binding.release();
}

std::uint64_t run(Session &session, Binding &binding, const void *step_values,
                  std::uint64_t bytes) {
  if (bytes != binding.step.bytes()) {
    throw Error(CALM_INVALID_ARGUMENT, "expected " + std::to_string(binding.step.bytes()) +
                                           " bytes of step values, found " + std::to_string(bytes));
  }
  std::byte *const block = session.next_step_block();
  if (bytes != 0) {
    std::memcpy(block, step_values, static_cast<std::size_t>(bytes));
    session.uploads().add_pinned(binding.step.data(), block, bytes);
  }
  session.uploads().flush();
  for (const Part &part : binding.parts) {
    if (part.graph != nullptr) {
      check(cudaGraphLaunch(part.graph, session.stream()), "starting a run");
    } else if (part.count > 0) {
      session.sum(part.x, part.y, part.count);
    } else {
      session.join_sums();
    }
  }
  session.join_sums();
  return session.finish_run();
}

}  // namespace calm::cuda
