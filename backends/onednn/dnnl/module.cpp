// The only file that sees oneDNN: it compiles with 2.6 and later and with 3.x. What differs is how
// a primitive's description is made (2.x: from an operation descriptor; 3.x: from its arguments).
#include "onednn/dnnl/module.hpp"

#include <oneapi/dnnl/dnnl.h>

#include <array>
#include <exception>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

// Found in the OpenMP that oneDNN was linked with, if it was: the compiler of this file may have
// another one.
extern "C" __attribute__((weak)) void omp_set_num_threads(int threads);

namespace calm::onednn {
namespace {

using Memory = dnnl::memory;
using Dim = Memory::dim;

/// Tasks of our pool are the parallelism; without this each would wait for a team of oneDNN's.
void stay_on_this_thread() {
  thread_local bool told = false;
  if (!told) {
    told = true;
    if (omp_set_num_threads != nullptr) {
      omp_set_num_threads(1);
    }
  }
}

void check(dnnl_status_t status, const char *what) {
  if (status != dnnl_success) {
    throw std::runtime_error(std::string("oneDNN could not ") + what + ": status " +
                             std::to_string(static_cast<int>(status)));
  }
}

/// What a dnnl::error says, as an exception that another library can name.
template <class Body>
auto translated(Body &&body) {
  try {
    return body();
  } catch (const dnnl::error &e) {
    throw std::runtime_error("oneDNN: " + std::string(e.message) + ", status " +
                             std::to_string(static_cast<int>(e.status)));
  }
}

Memory::desc matrix(std::size_t rows, std::size_t columns, Memory::data_type type,
                    const Memory::dims &strides) {
  return {{static_cast<Dim>(rows), static_cast<Dim>(columns)}, type, strides};
}
Memory::desc dense(std::size_t rows, std::size_t columns, Memory::data_type type) {
  return matrix(rows, columns, type, {static_cast<Dim>(columns), 1});
}
/// Stored [columns, rows].
Memory::desc transposed(std::size_t rows, std::size_t columns, Memory::data_type type) {
  return matrix(rows, columns, type, {1, static_cast<Dim>(rows)});
}

dnnl::primitive_attr attributes(bool add) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops ops;
    ops.append_sum(1.0F);
    attr.set_post_ops(ops);
  }
  return attr;
}

dnnl::matmul::primitive_desc describe(const dnnl::engine &engine, const Memory::desc &a,
                                      const Memory::desc &b, const Memory::desc &out, bool add) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, out, attributes(add)};
#else
  return {dnnl::matmul::desc(a, b, out), attributes(add), engine};
#endif
}

Memory::data_type type_of(bool bf16) {
  return bf16 ? Memory::data_type::bf16 : Memory::data_type::f32;
}

/// The layout in which oneDNN wants a matrix for blocks of 64 rows. Products of fewer rows and
/// packing take it from here, whatever they would choose for themselves.
Memory::desc packed_layout(const dnnl::engine &engine, std::size_t k, std::size_t n, bool bf16) {
  constexpr std::size_t kRows = 64;
  const Memory::desc any({static_cast<Dim>(k), static_cast<Dim>(n)}, type_of(bf16),
                         Memory::format_tag::any);
  return describe(engine, dense(kRows, k, type_of(bf16)), any,
                  dense(kRows, n, Memory::data_type::f32), false)
      .weights_desc();
}

void point(Memory &memory, const void *to) {
  // Only of dense memory: for a blocked one 2.x would write its padding each time.
  check(dnnl_memory_set_data_handle(memory.get(), const_cast<void *>(to)), "take an address");
}

class Bound : public BoundProduct {
 public:
  Bound(dnnl::matmul primitive, const dnnl::engine &engine,
        const dnnl::matmul::primitive_desc &description, void *packed, void *scratch)
      : primitive_(std::move(primitive)),
        stream_(engine),
        over_rows_(packed == nullptr),
        a_(description.src_desc(), engine, DNNL_MEMORY_NONE),
        b_(description.weights_desc(), engine, over_rows_ ? DNNL_MEMORY_NONE : packed),
        out_(description.dst_desc(), engine, DNNL_MEMORY_NONE),
        scratch_(description.scratchpad_desc(), engine, scratch),
        arguments_{{{DNNL_ARG_SRC, a_.get()},
                    {DNNL_ARG_WEIGHTS, b_.get()},
                    {DNNL_ARG_DST, out_.get()},
                    {DNNL_ARG_SCRATCHPAD, scratch_.get()}}} {}

  void run(const void *a, const void *b, float *out) override {
    stay_on_this_thread();
    point(a_, a);
    if (over_rows_) {
      point(b_, b);
    }
    point(out_, out);
    check(dnnl_primitive_execute(primitive_.get(), stream_.get(),
                                 static_cast<int>(arguments_.size()), arguments_.data()),
          "multiply");
  }

 private:
  dnnl::matmul primitive_;
  dnnl::stream stream_;
  bool over_rows_;
  Memory a_, b_, out_, scratch_;
  std::array<dnnl_exec_arg_t, 4> arguments_;
};

class Compiled : public CompiledProduct {
 public:
  Compiled(const dnnl::engine &engine, const dnnl::matmul::primitive_desc &description)
      : engine_(engine), description_(description), primitive_(description) {}

  bool is_reference() const override {
    return std::string_view(description_.impl_info_str()).substr(0, 3) == "ref";
  }
  std::size_t scratch() const override { return description_.scratchpad_desc().get_size(); }
  std::unique_ptr<BoundProduct> bind(const void *packed, void *scratch) const override {
    return translated([&] {
      return std::make_unique<Bound>(primitive_, engine_, description_, const_cast<void *>(packed),
                                     scratch);
    });
  }

 private:
  dnnl::engine engine_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul primitive_;
};

class Packer : public MatrixPacker {
 public:
  Packer(const dnnl::engine &engine, const MatrixSpec &spec)
      : stream_(engine),
        to_(packed_layout(engine, spec.k, spec.n, spec.bf16), engine, DNNL_MEMORY_NONE),
        from_(spec.transposed ? transposed(spec.k, spec.n, Memory::data_type::f32)
                              : dense(spec.k, spec.n, Memory::data_type::f32),
              engine, DNNL_MEMORY_NONE) {
    const dnnl::reorder::primitive_desc description(from_, to_, attributes(false));
    primitive_ = dnnl::reorder(description);
    scratch_ = Memory(description.scratchpad_desc(), engine);
    arguments_ = {{{DNNL_ARG_FROM, from_.get()},
                   {DNNL_ARG_TO, to_.get()},
                   {DNNL_ARG_SCRATCHPAD, scratch_.get()}}};
  }

  std::size_t bytes() const override { return to_.get_desc().get_size(); }
  void pack(const float *b, void *packed) override {
    stay_on_this_thread();
    point(from_, b);
    point(to_, packed);
    check(dnnl_primitive_execute(primitive_.get(), stream_.get(),
                                 static_cast<int>(arguments_.size()), arguments_.data()),
          "pack a matrix");
  }

 private:
  dnnl::stream stream_;
  Memory to_, from_, scratch_;
  dnnl::reorder primitive_;
  std::array<dnnl_exec_arg_t, 3> arguments_{};
};

class Module : public DnnlModule {
 public:
  Module() : engine_(dnnl::engine::kind::cpu, 0) {}

  std::string version() const override {
    const dnnl_version_t *const v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }
  bool fast_bf16() const override {
    // An instruction set is a set of bits, those of the sets it contains among them.
    constexpr auto kBf16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kBf16) == kBf16;
  }
  std::unique_ptr<MatrixPacker> packer(const MatrixSpec &spec) override {
    stay_on_this_thread();
    return translated([&] { return std::make_unique<Packer>(engine_, spec); });
  }
  std::unique_ptr<CompiledProduct> product(const ProductSpec &spec) override {
    stay_on_this_thread();
    return translated([&] {
      const Memory::data_type type = type_of(spec.bf16);
      constexpr auto kFloat = Memory::data_type::f32;
      return std::make_unique<Compiled>(
          engine_, spec.over_rows ? describe(engine_, transposed(spec.k, spec.rows, type),
                                             dense(spec.rows, spec.n, type),
                                             dense(spec.k, spec.n, kFloat), true)
                                  : describe(engine_, dense(spec.rows, spec.k, type),
                                             packed_layout(engine_, spec.k, spec.n, spec.bf16),
                                             dense(spec.rows, spec.n, kFloat), false));
    });
  }

 private:
  dnnl::engine engine_;
};

}  // namespace
}  // namespace calm::onednn

extern "C" __attribute__((visibility("default"))) calm::onednn::DnnlModule *
calm_onednn_open() noexcept {
  try {
    return new calm::onednn::Module;
  } catch (const std::exception &) {
    return nullptr;
  }
}
