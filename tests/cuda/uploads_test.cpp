// What the host writes and when it is there (cuda/uploads.hpp): small writes wait for what is put
// on the stream next.
#include <gtest/gtest.h>

#include <calm/ops/elementwise.h>

#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "cuda/executable.hpp"
#include "cuda/session.hpp"
#include "tests/cuda/emulator/capture.hpp"

namespace calm::cuda_test {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr std::size_t kKilo = 1024;

Bytes pattern(std::size_t n, unsigned seed) {
  Bytes bytes(n);
  for (std::size_t i = 0; i < n; ++i) {
    bytes[i] = static_cast<unsigned char>((i * 2654435761U + seed * 97) >> 7);
  }
  return bytes;
}

/// y [4] = x [4] + step, x and y in slots; constants that nobody reads.
class Sum {
 public:
  Sum() {
    program.size = sizeof program;
    program.schema = 1;
    program.name = literal("sum");
    program.slots = table(slots_);
    program.tensors = table(tensors_);
    program.nodes = table(nodes_);
    program.operands = table(operands_);
    program.attrs = table(attrs_);
    program.constants = constants_;
    program.constant_bytes = sizeof constants_;
    program.step_bytes = sizeof(float);
  }
  calm_program program{};

 private:
  static calm_type type_of(std::uint32_t rank) {
    calm_type type{};
    type.dtype = CALM_F32;
    type.rank = rank;
    type.shape[0] = rank == 0 ? 0 : 4;
    return type;
  }
  alignas(64) const unsigned char constants_[32] = {1, 2, 3};
  const std::vector<calm_slot> slots_ = {
      {literal("input"), 16, 64, CALM_ROLE_INPUT, 0},
      {literal("output"), 16, 64, CALM_ROLE_OUTPUT, 0},
      {literal("workspace"), 0, 64, CALM_ROLE_TEMP, 1},
  };
  const std::vector<calm_tensor> tensors_ = {
      {literal("x"), type_of(1), CALM_ROLE_INPUT, 0, 0, 16, CALM_NONE, CALM_NONE},
      {literal("s"), type_of(0), CALM_ROLE_STEP, CALM_NONE, 0, 4, CALM_NONE, CALM_NONE},
      {literal("y"), type_of(1), CALM_ROLE_OUTPUT, 1, 0, 16, CALM_NONE, CALM_NONE},
  };
  const std::vector<std::uint32_t> operands_ = {0, 1, 2};
  const std::vector<calm_value> attrs_;
  const std::vector<calm_node> nodes_ = {
      {literal(CALM_OP_ADD), 1, CALM_PHASE_FORWARD, 0, 2, 2, 1, 0, 0, literal("sum")}};
};

class Uploads : public testing::Test {
 protected:
  Uploads() {
    host_.size = sizeof host_;
    host_.threads = 1;
    host_.log = [](void *, calm_log_level, calm_str) {};
    host_.extension = [](void *, calm_str) -> const void * { return nullptr; };
    session_.reset(cuda::open_session(0, calm_table{}, &host_));
    session_->synchronize();
  }
  void TearDown() override {
    for (cuda::Buffer *const buffer : buffers_) {
      cuda::free_buffer(*session_, buffer);
    }
  }

  cuda::Buffer *buffer(std::uint64_t bytes) {
    return buffers_.emplace_back(cuda::alloc_buffer(*session_, bytes));
  }
  void free_last() {
    cuda::free_buffer(*session_, buffers_.back());
    buffers_.pop_back();
  }
  /// Of bytes that are gone on return.
  void write(cuda::Buffer *to, std::uint64_t at, const Bytes &bytes) {
    Bytes gone = bytes;
    cuda::write_buffer(*session_, to, at, gone.data(), gone.size());
    std::fill(gone.begin(), gone.end(), static_cast<unsigned char>(0x55));
  }
  Bytes read(const cuda::Buffer *from) {
    Bytes bytes(from->memory.bytes());
    cuda::read_buffer(*session_, from, 0, bytes.data(), bytes.size());
    return bytes;
  }
  /// What has been put on the stream and has not begun.
  std::size_t waiting() const { return calm_emulated::stream_of(session_->stream())->works.size(); }

  calm_host host_{};
  std::unique_ptr<cuda::Session> session_;
  std::vector<cuda::Buffer *> buffers_;
};

TEST_F(Uploads, OfAnySizeGoAnywhere) {
  Bytes expected(64 * kKilo);
  cuda::Buffer *const x = buffer(expected.size());
  std::size_t at = 0;
  unsigned seed = 0;
  for (const std::size_t gap : {0U, 1U, 3U, 8U, 16U, 17U}) {
    for (const std::size_t n : {1U, 4U, 15U, 16U, 17U, 31U, 64U, 255U, 257U, 4095U, 4097U}) {
      at += gap;
      const Bytes bytes = pattern(n, ++seed);
      write(x, at, bytes);
      std::memcpy(expected.data() + at, bytes.data(), n);
      at += n;
    }
  }
  ASSERT_LE(at, expected.size());
  EXPECT_EQ(read(x), expected);
}

TEST_F(Uploads, OfNothingAreNothing) {
  cuda::Buffer *const x = buffer(8);
  write(x, 8, {});
  EXPECT_EQ(read(x), Bytes(8));
}

TEST_F(Uploads, ThatAreLargeComeAfterSmallOnes) {
  cuda::Buffer *const x = buffer(9000 * kKilo);
  write(x, 4000, pattern(100, 1));
  const Bytes large = pattern(9000 * kKilo, 2);
  write(x, 0, large);
  EXPECT_EQ(read(x), large);
  write(x, 0, pattern(9000 * kKilo, 3));
  Bytes expected = pattern(9000 * kKilo, 3);
  const Bytes small = pattern(100, 4);
  write(x, 4001, small);
  std::memcpy(expected.data() + 4001, small.data(), small.size());
  EXPECT_EQ(read(x), expected);
}

TEST_F(Uploads, ThatOverlapKeepTheirOrder) {
  Bytes expected(20 * kKilo);
  cuda::Buffer *const x = buffer(expected.size());
  // Beginnings, ends, parts and the whole of what waits.
  const std::pair<std::size_t, std::size_t> ranges[] = {
      {0, 16 * kKilo}, {100, 1}, {4000, 5000}, {3990, 20}, {8999, 2}, {0, 16 * kKilo}, {12, 4}};
  unsigned seed = 0;
  for (const auto &[at, n] : ranges) {
    const Bytes bytes = pattern(n, ++seed);
    write(x, at, bytes);
    std::memcpy(expected.data() + at, bytes.data(), n);
  }
  EXPECT_EQ(waiting(), 1U + 4U) << "a launch for what overlaps; memory that begins as zeros";
  EXPECT_EQ(read(x), expected);
}

// Three times the memory that they go through, which may be used again only when it was read.
TEST_F(Uploads, ThatAreManyDoNotRunOverEachOther) {
  const std::size_t n = 99 * kKilo + 7;
  const std::size_t count = 250;
  Bytes expected;
  cuda::Buffer *const x = buffer(n * count);
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes bytes = pattern(n, static_cast<unsigned>(i));
    write(x, i * n, bytes);
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  }
  EXPECT_EQ(read(x), expected);
}

TEST_F(Uploads, AreCopiedFrom) {
  cuda::Buffer *const x = buffer(64);
  cuda::Buffer *const y = buffer(64);
  const Bytes first = pattern(64, 1);
  const Bytes second = pattern(64, 2);
  write(x, 0, first);
  cuda::copy_buffer(*session_, y, 0, x, 0, 64);
  write(x, 0, second);
  EXPECT_EQ(read(y), first);
  EXPECT_EQ(read(x), second);
}

TEST_F(Uploads, AreCopiedOver) {
  cuda::Buffer *const x = buffer(64);
  cuda::Buffer *const y = buffer(64);
  const Bytes first = pattern(64, 1);
  const Bytes second = pattern(64, 2);
  write(x, 0, first);
  write(y, 0, second);
  cuda::copy_buffer(*session_, y, 0, x, 0, 64);
  EXPECT_EQ(read(y), first);
}

TEST_F(Uploads, AreCopiedWithinABuffer) {
  cuda::Buffer *const x = buffer(96);
  Bytes expected = pattern(96, 1);
  write(x, 0, expected);
  cuda::copy_buffer(*session_, x, 32, x, 0, 64);
  std::memmove(expected.data() + 32, expected.data(), 64);
  EXPECT_EQ(read(x), expected);
}

// The new buffers lie where the old ones lay.
TEST_F(Uploads, ToABufferThatEndsDoNotReachTheNext) {
  const std::size_t n = 60 * kKilo;
  cuda::Buffer *const stays = buffer(100);
  write(stays, 0, pattern(100, 1));
  for (int i = 0; i < 12; ++i) {
    write(buffer(n), 0, Bytes(n, 0xaa));
  }
  for (int i = 0; i < 12; ++i) {
    free_last();
  }
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(read(buffer(n)), Bytes(n)) << i;
  }
  EXPECT_EQ(read(stays), pattern(100, 1));
}

class UploadsAndRuns : public Uploads {
 protected:
  UploadsAndRuns() : x_(buffer(64)), y_(buffer(16)) {
    const Sum sum;
    executable_.reset(cuda::compile(*session_, &sum.program, calm_table{}));
    calm_buffer *const buffers[] = {reinterpret_cast<calm_buffer *>(x_),
                                    reinterpret_cast<calm_buffer *>(y_), nullptr};
    binding_.reset(cuda::bind(*session_, *executable_, buffers, 3));
    session_->synchronize();
  }
  void TearDown() override {
    binding_.reset();
    executable_.reset();
    Uploads::TearDown();
  }
  void write_x(float value) {
    const std::vector<float> x(4, value);
    cuda::write_buffer(*session_, x_, 0, x.data(), 16);
  }
  std::uint64_t run(float step) { return cuda::run(*session_, *binding_, &step, sizeof step); }
  float y(std::size_t i) {
    float value = 0;
    cuda::read_buffer(*session_, y_, i * sizeof value, &value, sizeof value);
    return value;
  }

  cuda::Buffer *x_, *y_;
  std::unique_ptr<cuda::Executable> executable_;
  std::unique_ptr<cuda::Binding> binding_;
};

TEST_F(UploadsAndRuns, AreOneLaunchInFrontOfTheGraph) {
  write_x(1);
  write(x_, 32, pattern(7, 1));
  write(x_, 48, pattern(16, 2));
  EXPECT_EQ(waiting(), 0U);
  const std::uint64_t fence = run(10);
  EXPECT_EQ(waiting(), 3U) << "the launch, the graph, the fence's event";
  session_->wait(fence);
  EXPECT_EQ(y(3), 11);
  run(20);
  EXPECT_EQ(waiting(), 3U) << "step values alone";
  EXPECT_EQ(y(3), 21);
}

// More runs than may be under way, none waited for: each has its own input and step values.
TEST_F(UploadsAndRuns, KeepTheirOrder) {
  cuda::Buffer *const all = buffer(100 * 16);
  for (int i = 0; i < 100; ++i) {
    write_x(static_cast<float>(i));
    run(static_cast<float>(1000 * i));
    cuda::copy_buffer(*session_, all, static_cast<std::uint64_t>(i) * 16, y_, 0, 16);
  }
  std::vector<float> found(400);
  cuda::read_buffer(*session_, all, 0, found.data(), 1600);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(found[static_cast<std::size_t>(4 * i)], 1001.0F * static_cast<float>(i));
  }
}

TEST_F(UploadsAndRuns, WriteOverWhatARunHasMade) {
  write_x(1);
  run(1);
  write(y_, 0, Bytes(4));
  EXPECT_EQ(y(0), 0);
  EXPECT_EQ(y(1), 2);
}

TEST_F(UploadsAndRuns, OfConstantsDoNotWait) {
  const Sum sum;
  const std::unique_ptr<cuda::Executable> other(
      cuda::compile(*session_, &sum.program, calm_table{}));
  const std::size_t before = waiting();
  session_->uploads().flush();
  EXPECT_EQ(waiting(), before);
  std::vector<unsigned char> found(sum.program.constant_bytes);
  cudaMemcpyAsync(found.data(), other->constants.data(), found.size(), cudaMemcpyDeviceToHost,
                  session_->stream());
  session_->synchronize();
  EXPECT_EQ(found[2], 3);
}

// More than one launch takes.
TEST_F(UploadsAndRuns, MayBeManyBeforeARun) {
  cuda::Buffer *const other = buffer(10000);
  write_x(5);
  Bytes expected(10000);
  for (std::size_t i = 0; i < 100; ++i) {
    const Bytes bytes = pattern(99, static_cast<unsigned>(i));
    write(other, i * 100, bytes);
    std::memcpy(expected.data() + i * 100, bytes.data(), bytes.size());
  }
  run(2);
  EXPECT_EQ(y(2), 7);
  EXPECT_EQ(read(other), expected);
}

}  // namespace
}  // namespace calm::cuda_test
