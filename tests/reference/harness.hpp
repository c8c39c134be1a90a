#pragma once

#include <calm/all.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

// The reference backend through its table alone: programs written by hand, right and wrong ones.
namespace calm::reference_test {

/// The table of the plugin beside the tests.
const calm_backend &backend();

/// A host with plain threads and no services.
class TestHost {
 public:
  explicit TestHost(std::uint32_t threads = 1);
  const calm_host &table() const { return table_; }

 private:
  calm_host table_{};
};

/// A program whose tensors have a slot each.
struct Program {
  std::vector<calm_slot> slots;
  std::vector<calm_tensor> tensors;
  std::vector<calm_node> nodes;
  std::vector<std::uint32_t> operands;
  std::vector<calm_value> attrs;
  std::vector<std::byte> constants;
  std::uint64_t step_bytes = 0;

  std::uint32_t tensor(calm_dtype dtype, std::initializer_list<std::int64_t> shape,
                       calm_role role = CALM_ROLE_INPUT);
  void node(const char *op, std::vector<std::uint32_t> ins, std::vector<std::uint32_t> outs,
            std::vector<calm_value> values = {});
  /// Views of the vectors above.
  calm_program table() const;
};

class TestSession {
 public:
  explicit TestSession(std::uint32_t threads = 1);
  ~TestSession() { backend().close(session_); }
  TestSession(const TestSession &) = delete;
  TestSession &operator=(const TestSession &) = delete;
  calm_session *get() const { return session_; }

 private:
  TestHost host_;
  calm_session *session_ = nullptr;
};

/// A program compiled and bound to buffers of its own.
class Compiled {
 public:
  Compiled(const TestSession &session, const Program &program);
  ~Compiled();
  Compiled(const Compiled &) = delete;
  Compiled &operator=(const Compiled &) = delete;

  template <class T>
  void set(std::uint32_t tensor, const std::vector<T> &values) {
    call(backend().write, session_, buffer(tensor), std::uint64_t{0},
         static_cast<const void *>(values.data()), std::uint64_t{values.size() * sizeof(T)});
  }
  template <class T>
  std::vector<T> get(std::uint32_t tensor) const {
    std::vector<T> values(static_cast<std::size_t>(elements(program_.tensors[tensor].type)));
    call(backend().read, session_, static_cast<const calm_buffer *>(buffer(tensor)),
         std::uint64_t{0}, static_cast<void *>(values.data()),
         std::uint64_t{values.size() * sizeof(T)});
    return values;
  }
  /// Returns the fence.
  std::uint64_t run(const void *step = nullptr, std::uint64_t bytes = 0);
  calm_executable *executable() const { return executable_; }
  const std::vector<calm_buffer *> &buffers() const { return buffers_; }

 private:
  calm_buffer *buffer(std::uint32_t tensor) const {
    return buffers_[program_.tensors[tensor].slot];
  }

  const Program &program_;
  calm_session *session_;
  calm_executable *executable_ = nullptr;
  calm_binding *binding_ = nullptr;
  std::vector<calm_buffer *> buffers_;
};

}  // namespace calm::reference_test
