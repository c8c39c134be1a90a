#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <functional>
#include <numeric>

#include "tests/reference/harness.hpp"

namespace calm::reference_test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kFar = ~std::uint64_t{0} - 7;

class BufferTest : public testing::Test {
 public:
  BufferTest() { call(backend().alloc, session_.get(), std::uint64_t{64}, &buffer_); }
  ~BufferTest() override { backend().free(session_.get(), buffer_); }

 protected:
  calm_status write(std::uint64_t offset, std::uint64_t bytes) {
    const std::vector<std::byte> source(64);
    return backend().write(session_.get(), buffer_, offset, source.data(), bytes, nullptr);
  }
  std::vector<std::uint8_t> contents() {
    std::vector<std::uint8_t> bytes(64);
    call(backend().read, session_.get(), static_cast<const calm_buffer *>(buffer_),
         std::uint64_t{0}, static_cast<void *>(bytes.data()), std::uint64_t{64});
    return bytes;
  }

  TestSession session_;
  calm_buffer *buffer_ = nullptr;
};

TEST_F(BufferTest, IsZeroAtFirst) { EXPECT_THAT(contents(), Each(0)); }

TEST_F(BufferTest, IsNeverLeftByAWriteAReadOrACopy) {
  EXPECT_EQ(write(0, 64), CALM_OK);
  EXPECT_EQ(write(64, 0), CALM_OK);
  EXPECT_EQ(write(1, 64), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(write(65, 0), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(write(kFar, 16), CALM_INVALID_ARGUMENT);
  std::array<std::byte, 64> out;
  EXPECT_EQ(backend().read(session_.get(), buffer_, 60, out.data(), 8, nullptr),
            CALM_INVALID_ARGUMENT);
  EXPECT_EQ(backend().copy(session_.get(), buffer_, 0, buffer_, 60, 8, nullptr),
            CALM_INVALID_ARGUMENT);
  EXPECT_EQ(backend().copy(session_.get(), buffer_, 60, buffer_, 0, 8, nullptr),
            CALM_INVALID_ARGUMENT);
}

TEST_F(BufferTest, CopiesWithinItself) {
  std::vector<std::uint8_t> bytes(64);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  call(backend().write, session_.get(), buffer_, std::uint64_t{0},
       static_cast<const void *>(bytes.data()), std::uint64_t{64});
  call(backend().copy, session_.get(), buffer_, std::uint64_t{4},
       static_cast<const calm_buffer *>(buffer_), std::uint64_t{0}, std::uint64_t{60});
  EXPECT_EQ(contents()[4], 0);
  EXPECT_EQ(contents()[63], 59);
}

TEST_F(BufferTest, OfAnotherSessionIsRefused) {
  const TestSession other;
  EXPECT_EQ(backend().write(other.get(), buffer_, 0, "", 1, nullptr), CALM_INVALID_ARGUMENT);
}

TEST(Session, MemoryThatIsNotThereIsAnErrorAndNotACrash) {
  const TestSession session;
  calm_buffer *buffer = nullptr;
  EXPECT_EQ(backend().alloc(session.get(), kFar, &buffer, nullptr), CALM_OUT_OF_MEMORY);
  EXPECT_EQ(buffer, nullptr);
}

TEST(Session, HasOneDevice) {
  std::uint32_t count = 0;
  calm_device device{};
  EXPECT_EQ(backend().devices(&count, nullptr), CALM_OK);
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(backend().device(0, &device, nullptr), CALM_OK);
  EXPECT_EQ(view(device.name), "cpu");
  EXPECT_EQ(device.memory, 0U);  // the host's
  EXPECT_EQ(backend().device(1, &device, nullptr), CALM_NOT_FOUND);
}

TEST(Session, AnUnknownOptionIsNamed) {
  const TestHost host;
  const calm_value option = value("speed", 3);
  calm_session *session = nullptr;
  calm_error error{};
  EXPECT_EQ(backend().open(0, {&option, 1, sizeof option}, &host.table(), &session, &error),
            CALM_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("\"speed\""));
}

// out = a b, [3, 4] by [4, 5].
Program product(calm_dtype dtype = CALM_F32) {
  Program p;
  const auto a = p.tensor(dtype, {3, 4});
  const auto b = p.tensor(dtype, {4, 5});
  const auto out = p.tensor(dtype, {3, 5}, CALM_ROLE_OUTPUT);
  p.node("matmul", {a, b}, {out}, {value("transpose_a", false), value("transpose_b", false)});
  return p;
}

struct Malformed {
  const char *name;
  std::function<void(Program &)> spoil;
};

class MalformedProgram : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedProgram, IsRefused) {
  const TestSession session;
  Program program = product();
  GetParam().spoil(program);
  const calm_program table = program.table();
  calm_executable *executable = nullptr;
  calm_error error{};
  EXPECT_EQ(backend().compile(session.get(), &table, {}, &executable, &error),
            CALM_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("expected"));
  std::array<calm_verdict, 4> verdicts{};
  EXPECT_EQ(backend().supports(session.get(), &table, verdicts.data(), nullptr),
            CALM_INVALID_ARGUMENT);
}

INSTANTIATE_TEST_SUITE_P(
    Each, MalformedProgram,
    testing::Values(
        Malformed{"OperandIndex", [](Program &p) { p.operands[1] = 77; }},
        Malformed{"OutputIndex", [](Program &p) { p.operands[2] = 77; }},
        Malformed{"SlotIndex", [](Program &p) { p.tensors[0].slot = 9; }},
        Malformed{"OutsideItsSlot", [](Program &p) { p.tensors[0].offset = 4; }},
        Malformed{"OffsetThatWraps", [](Program &p) { p.tensors[0].offset = kFar; }},
        Malformed{"OddOffset",
                  [](Program &p) {
                    p.slots[0].bytes += 8;
                    p.tensors[0].offset = 2;
                  }},
        Malformed{"FewerBytesThanElements", [](Program &p) { p.tensors[0].bytes -= 4; }},
        Malformed{"HugeShape", [](Program &p) { p.tensors[0].type.shape[0] = INT64_MAX / 2; }},
        Malformed{"NegativeShape", [](Program &p) { p.tensors[0].type.shape[0] = -1; }},
        Malformed{"Rank", [](Program &p) { p.tensors[0].type.rank = 99; }},
        Malformed{"Dtype", [](Program &p) { p.tensors[0].type.dtype = 99; }},
        Malformed{"Role", [](Program &p) { p.tensors[0].role = 99; }},
        Malformed{"Alignment", [](Program &p) { p.slots[0].align = 48; }},
        Malformed{"ViewOf", [](Program &p) { p.tensors[0].view_of = 77; }},
        Malformed{"Updates", [](Program &p) { p.tensors[0].updates = 77; }},
        Malformed{"ConstantThatIsNotThere",
                  [](Program &p) { p.tensors[0].role = CALM_ROLE_CONST; }},
        Malformed{"StepValueThatIsNotAScalar",
                  [](Program &p) { p.tensors[0].role = CALM_ROLE_STEP; }},
        Malformed{"OutputThatIsAConstant",
                  [](Program &p) {
                    p.constants.resize(64);
                    p.tensors[2].role = CALM_ROLE_CONST;
                  }},
        Malformed{"OperandRange", [](Program &p) { p.nodes[0].first_in = 0xfffffff0U; }},
        Malformed{"AttributeRange", [](Program &p) { p.nodes[0].n_attr = 3; }},
        Malformed{"TooFewInputs", [](Program &p) { p.nodes[0].n_in = 1; }},
        Malformed{"TooManyInputs", [](Program &p) { p.nodes[0].n_in = 3; }},
        Malformed{"AbsentInput", [](Program &p) { p.operands[0] = CALM_NONE; }},
        Malformed{"TooFewAttributes", [](Program &p) { p.nodes[0].n_attr = 1; }},
        Malformed{"AttributeKind", [](Program &p) { p.attrs[0].type = CALM_VALUE_F64; }},
        Malformed{"InnerExtents", [](Program &p) { std::swap(p.operands[0], p.operands[1]); }},
        Malformed{"OutputShape", [](Program &p) { p.tensors[2].type.shape[0] = 2; }},
        Malformed{"IntegersForReals", [](Program &p) { p.tensors[0].type.dtype = CALM_I32; }},
        Malformed{"MixedReals", [](Program &p) { p.tensors[0].type.dtype = CALM_BF16; }}),
    [](const auto &test) { return std::string(test.param.name); });

TEST(Program, WhatHasNoKernelIsUnsupportedWithAReason) {
  const TestSession session;
  Program program = product(CALM_F16);
  program.node("no_such_operator", {0}, {2});
  const calm_program table = program.table();
  std::array<calm_verdict, 2> verdicts{};
  ASSERT_EQ(backend().supports(session.get(), &table, verdicts.data(), nullptr), CALM_OK);
  EXPECT_EQ(verdicts[0].supported, 0U);
  EXPECT_STREQ(verdicts[0].reason, "no f16 kernel for matmul");
  EXPECT_STREQ(verdicts[1].reason, "no kernel for no_such_operator/1");
  calm_executable *executable = nullptr;
  calm_error error{};
  EXPECT_EQ(backend().compile(session.get(), &table, {}, &executable, &error), CALM_UNSUPPORTED);
  EXPECT_EQ(error.node, 0U);
}

TEST(Program, ConstantsAndStepValuesReachTheirNodes) {
  const TestSession session;
  Program p;
  const auto constant = p.tensor(CALM_F32, {2}, CALM_ROLE_CONST);
  const auto step = p.tensor(CALM_F32, {}, CALM_ROLE_STEP);
  const auto out = p.tensor(CALM_F32, {2}, CALM_ROLE_OUTPUT);
  const std::array<float, 2> values = {3, 4};
  std::memcpy(p.constants.data(), values.data(), sizeof values);
  p.node("mul", {constant, step}, {out});
  Compiled compiled(session, p);
  std::array<float, 2> block = {2, 0};
  const std::uint64_t first = compiled.run(block.data(), sizeof block);
  EXPECT_THAT(compiled.get<float>(out), ElementsAre(6, 8));
  block[0] = -1;
  EXPECT_GT(compiled.run(block.data(), sizeof block), first);
  EXPECT_THAT(compiled.get<float>(out), ElementsAre(-3, -4));
  EXPECT_THROW(compiled.run(block.data(), 4), Error);
}

TEST(Program, BindWantsABufferOfTheRightSizeForEverySlot) {
  const TestSession session;
  const Program p = product();
  const Compiled compiled(session, p);
  calm_buffer *small = nullptr;
  call(backend().alloc, session.get(), std::uint64_t{8}, &small);
  std::vector<calm_buffer *> buffers = compiled.buffers();
  calm_binding *binding = nullptr;
  EXPECT_EQ(
      backend().bind(session.get(), compiled.executable(), buffers.data(), 2, &binding, nullptr),
      CALM_INVALID_ARGUMENT);
  for (calm_buffer *const wrong : {small, static_cast<calm_buffer *>(nullptr)}) {
    buffers[1] = wrong;
    EXPECT_EQ(
        backend().bind(session.get(), compiled.executable(), buffers.data(), 3, &binding, nullptr),
        CALM_INVALID_ARGUMENT);
  }
  backend().free(session.get(), small);
}

TEST(Program, TheDumpNamesEveryKernel) {
  const TestSession session;
  const Program p = product();
  const Compiled compiled(session, p);
  calm_executable_info info{};
  info.size = sizeof info;
  ASSERT_EQ(backend().info(session.get(), compiled.executable(), &info, nullptr), CALM_OK);
  EXPECT_THAT(std::string(view(info.dump)),
              HasSubstr("matmul/1  f32[3, 4] f32[4, 5] -> f32[3, 5]"));
}

}  // namespace
}  // namespace calm::reference_test
