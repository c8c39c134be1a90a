// The emulator itself: what it computes, and that it says what a device would hang or be silent
// for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "cuda/blas.hpp"
#include "tests/cuda/emulator/block.hpp"
#include "tests/cuda/emulator/stream.hpp"
#include "tests/cuda/made_up.hpp"
#include "tests/cuda/node.hpp"

namespace calm::cuda_test {
namespace {

using testing::HasSubstr;

std::string failure_of(const std::function<void()> &work) {
  try {
    work();
  } catch (const calm_emulated::Failure &e) {
    return e.what();
  }
  return "none";
}

TEST(Emulator, ThreadsOfABlockMeetAndShareMemory) {
  std::vector<float> x(3 * 96);
  std::iota(x.begin(), x.end(), 0.0F);
  std::vector<float> y(x.size());
  reverse(x.data(), y.data(), 3, 96);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(y[i], x[i / 96 * 96 + 95 - i % 96]);
  }
}

TEST(Emulator, LanesShuffleWithinTheirSegment) {
  std::vector<int> result(32 * 6);
  shuffle(result.data());
  for (int lane = 0; lane < 32; ++lane) {
    const int begin = lane / 8 * 8;
    const int *const own = &result[static_cast<std::size_t>(lane) * 6];
    EXPECT_EQ(own[0], begin + 4);
    EXPECT_EQ(own[1], lane ^ 4);
    EXPECT_EQ(own[2], lane - 4 < begin ? lane : lane - 4);
    EXPECT_EQ(own[3], lane + 4 >= begin + 8 ? lane : lane + 4);
    EXPECT_EQ(own[4], 0x11111111);
    EXPECT_EQ(own[5], lane < 4 ? 1 : 0);
  }
}

TEST(Emulator, ABarrierThatNotAllComeToIsNamed) {
  const std::string what = failure_of(meet_in_part);
  EXPECT_THAT(what, HasSubstr("part_kernel, launched at "));
  EXPECT_THAT(what, HasSubstr("made_up.cu:"));
  EXPECT_THAT(what, HasSubstr("a barrier that not all of them come to: "));
  int after[32 * 6] = {};  // and the next kernel runs
  shuffle(after);
  EXPECT_EQ(after[0], 4);
}

TEST(Emulator, AShuffleWithALaneThatHasEndedIsNamed) {
  int result[32];
  EXPECT_THAT(failure_of([&] { outlive(result); }), HasSubstr("made_up.cu:"));
}

TEST(Emulator, WhatABlockFindsInSharedMemoryIsNotANumber) {
  std::vector<float> y(32);
  read_unwritten(y.data());
  if (!calm_emulated::backward()) {
    EXPECT_TRUE(std::isnan(y[0]));
  }
}

TEST(Emulator, ALaunchThatNoDeviceTakesLeavesAnError) {
  too_many_threads();
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(Emulator, AStreamThatWaitsForAnotherIsNotReady) {
  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaStreamCreate(&first), cudaSuccess);
  ASSERT_EQ(cudaStreamCreate(&second), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
  bool may_go_on = false;
  int x = 0;
  second->submit_until([&] { return may_go_on; });
  ASSERT_EQ(cudaEventRecord(event, second), cudaSuccess);
  first->submit([&] { x = 1; });
  ASSERT_EQ(cudaStreamWaitEvent(first, event, 0), cudaSuccess);
  first->submit([&] { x = 2; });
  EXPECT_EQ(x, 0) << "nobody waited";
  EXPECT_EQ(cudaStreamQuery(first), cudaErrorNotReady);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(x, 1);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);
  may_go_on = true;
  EXPECT_EQ(cudaStreamQuery(first), cudaSuccess);
  EXPECT_EQ(x, 2);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  cudaEventDestroy(event);
  cudaStreamDestroy(second);
  cudaStreamDestroy(first);
}

class Graph : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cudaStreamCreate(&main_), cudaSuccess);
    ASSERT_EQ(cudaStreamCreate(&side_), cudaSuccess);
    ASSERT_EQ(cudaEventCreate(&fork_), cudaSuccess);
    ASSERT_EQ(cudaEventCreate(&join_), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCapture(main_, cudaStreamCaptureModeRelaxed), cudaSuccess);
    add(&x_, 1, 2, main_);
    ASSERT_EQ(cudaEventRecord(fork_, main_), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(side_, fork_, 0), cudaSuccess);
    add(&y_, 10, 3, side_);
    ASSERT_EQ(cudaEventRecord(join_, side_), cudaSuccess);
  }
  void TearDown() override {
    cudaEventDestroy(fork_);
    cudaEventDestroy(join_);
    cudaStreamDestroy(side_);
    cudaStreamDestroy(main_);
  }
  cudaStream_t main_ = nullptr, side_ = nullptr;
  cudaEvent_t fork_ = nullptr, join_ = nullptr;
  float x_ = 1, y_ = 0;
};

TEST_F(Graph, OfTwoStreamsIsReplayed) {
  ASSERT_EQ(cudaStreamWaitEvent(main_, join_, 0), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(main_, &graph), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(main_), cudaSuccess);
  EXPECT_EQ(x_, 1) << "captured, not run";
  cudaGraphExec_t made = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&made, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(made, main_), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(made, main_), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(main_), cudaSuccess);
  EXPECT_EQ(x_, ((1 + 1) * 2 + 1) * 2);
  EXPECT_EQ(y_, (10 * 3 + 10) * 3);
  cudaGraphExecDestroy(made);
  cudaGraphDestroy(graph);
}

TEST_F(Graph, ThatAStreamDoesNotComeBackToIsRefused) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(main_, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(cudaStreamWaitEvent(main_, join_, 0), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaGetLastError(), cudaErrorCapturedEvent);
}

}  // namespace
}  // namespace calm::cuda_test
