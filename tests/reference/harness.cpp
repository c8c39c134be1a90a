#include "tests/reference/harness.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace calm::reference_test {

const calm_backend &backend() {
  static const calm_backend &table = [&]() -> const calm_backend & {
    const std::string path = std::string(CALM_TEST_PLUGINS) + "/reference.so";
    void *const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw std::runtime_error(::dlerror());
    }
    const auto query =
        reinterpret_cast<calm_plugin_query_fn>(::dlsym(library, "calm_plugin_query"));
    const calm_plugin *const plugin = query(CALM_ABI_CURRENT, CALM_ABI_CURRENT, nullptr);
    return *static_cast<const calm_backend *>(record<calm_provided>(plugin->provides, 0).vtable);
  }();
  return table;
}

TestHost::TestHost(std::uint32_t threads) {
  table_.size = sizeof table_;
  table_.threads = threads;
  table_.self = this;
  table_.log = [](void *, calm_log_level, calm_str) {};
  table_.alloc = [](void *, std::uint64_t bytes, std::uint64_t align) -> void * {
    constexpr std::uint64_t kMost = std::uint64_t{1} << 30;
    return bytes > kMost ? nullptr : std::aligned_alloc(align, (bytes + align - 1) / align * align);
  };
  table_.free = [](void *, void *memory) { std::free(memory); };
  table_.parallel_for = [](void *self, std::uint32_t shards, void (*body)(void *, std::uint32_t),
                           void *context) {
    std::atomic<std::uint32_t> next{0};
    const auto work = [&] {
      for (std::uint32_t shard = next++; shard < shards; shard = next++) {
        body(context, shard);
      }
    };
    std::vector<std::thread> workers;
    for (std::uint32_t i = 1; i < static_cast<TestHost *>(self)->table_.threads; ++i) {
      workers.emplace_back(work);
    }
    work();
    for (std::thread &worker : workers) {
      worker.join();
    }
  };
  table_.cancelled = [](void *) { return std::uint32_t{0}; };
  table_.extension = [](void *, calm_str) -> const void * { return nullptr; };
}

std::uint32_t Program::tensor(calm_dtype dtype, std::initializer_list<std::int64_t> shape,
                              calm_role role) {
  calm_tensor t{};
  t.type = type_of(dtype, shape);
  t.role = role;
  t.bytes = bytes_of(t.type);
  t.view_of = CALM_NONE;
  t.updates = CALM_NONE;
  t.slot = CALM_NONE;
  if (role == CALM_ROLE_STEP) {
    t.offset = step_bytes;
    step_bytes += 8;
  } else if (role == CALM_ROLE_CONST) {
    t.offset = constants.size();
    constants.resize(constants.size() + (t.bytes + 63) / 64 * 64);
  } else {
    t.slot = static_cast<std::uint32_t>(slots.size());
    slots.push_back({str("slot"), t.bytes, 64, role, 0});
  }
  tensors.push_back(t);
  return static_cast<std::uint32_t>(tensors.size() - 1);
}

void Program::node(const char *op, std::vector<std::uint32_t> ins, std::vector<std::uint32_t> outs,
                   std::vector<calm_value> values) {
  calm_node n{};
  n.op = str(op);
  n.revision = 1;
  n.origin = str("test");
  n.first_in = static_cast<std::uint32_t>(operands.size());
  n.n_in = static_cast<std::uint32_t>(ins.size());
  operands.insert(operands.end(), ins.begin(), ins.end());
  n.first_out = static_cast<std::uint32_t>(operands.size());
  n.n_out = static_cast<std::uint32_t>(outs.size());
  operands.insert(operands.end(), outs.begin(), outs.end());
  n.first_attr = static_cast<std::uint32_t>(attrs.size());
  n.n_attr = static_cast<std::uint32_t>(values.size());
  attrs.insert(attrs.end(), values.begin(), values.end());
  nodes.push_back(n);
}

calm_program Program::table() const {
  calm_program p{};
  p.size = sizeof p;
  p.schema = 1;
  p.name = str("test");
  p.slots = calm::table(slots);
  p.tensors = calm::table(tensors);
  p.nodes = calm::table(nodes);
  p.operands = calm::table(operands);
  p.attrs = calm::table(attrs);
  p.constants = constants.data();
  p.constant_bytes = constants.size();
  p.step_bytes = step_bytes;
  return p;
}

TestSession::TestSession(std::uint32_t threads) : host_(threads) {
  call(backend().open, std::uint32_t{0}, calm_table{}, &host_.table(), &session_);
}

Compiled::Compiled(const TestSession &session, const Program &program)
    : program_(program), session_(session.get()) {
  const calm_program table = program.table();
  call(backend().compile, session_, &table, calm_table{}, &executable_);
  for (const calm_slot &slot : program.slots) {
    buffers_.push_back(nullptr);
    call(backend().alloc, session_, slot.bytes, &buffers_.back());
  }
  call(backend().bind, session_, executable_, buffers_.data(),
       static_cast<std::uint32_t>(buffers_.size()), &binding_);
}

Compiled::~Compiled() {
  backend().unbind(session_, binding_);
  for (calm_buffer *const buffer : buffers_) {
    backend().free(session_, buffer);
  }
  backend().release(session_, executable_);
}

std::uint64_t Compiled::run(const void *step, std::uint64_t bytes) {
  std::uint64_t fence = 0;
  call(backend().run, session_, binding_, step, bytes, &fence);
  call(backend().wait, session_, fence);
  return fence;
}

}  // namespace calm::reference_test
