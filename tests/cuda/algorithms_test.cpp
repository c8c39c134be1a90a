// Algorithms chosen by time, and the file that keeps them (cuda/blas.hpp,
// cuda/algorithm_cache.hpp). The emulated library's: emulator/blaslt.cpp.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <calm/cpp/value.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda/algorithm_cache.hpp"
#include "cuda/blas.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/session.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::cuda_test {
namespace {

using calm_test::read_bytes;
using calm_test::TempFolder;
using cuda::Algorithm;
using cuda::AlgorithmCache;
using cuda::Blas;
using cuda::Problem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kAlgorithms = 11;
const Algorithm kFifth = {5};

/// A function of the emulated library.
template <class Function>
Function *emulated(const char *name) {
  cuda::cublaslt();
  static void *const library =
      ::dlopen(("libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)).c_str(), RTLD_NOW);
  return reinterpret_cast<Function *>(library == nullptr ? nullptr : ::dlsym(library, name));
}

/// How often products were put on streams with one algorithm.
std::uint64_t products(std::uint64_t algorithm) {
  static auto *const count = emulated<std::uint64_t(std::uint64_t)>("calm_emulated_products");
  return count == nullptr ? 0 : count(algorithm);
}

std::vector<std::uint64_t> all_products() {
  std::vector<std::uint64_t> counts;
  for (std::uint64_t i = 1; i <= kAlgorithms; ++i) {
    counts.push_back(products(i));
  }
  return counts;
}

class Algorithms : public testing::Test {
 protected:
  void SetUp() override {
    for (const char *const name : {"XDG_CACHE_HOME", "HOME"}) {
      const char *const value = std::getenv(name);
      before_.emplace_back(name, value == nullptr ? "" : value);
    }
    ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1);
    ASSERT_EQ(cudaStreamCreate(&stream_), cudaSuccess);
    host_.size = sizeof host_;
    host_.threads = 1;
    host_.self = &log_;
    host_.log = [](void *self, calm_log_level, calm_str text) {
      static_cast<std::vector<std::string> *>(self)->push_back(copy(text));
    };
    host_.extension = [](void *, calm_str) -> const void * { return nullptr; };
  }
  void TearDown() override {
    cudaStreamDestroy(stream_);
    for (const auto &[name, value] : before_) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }

  /// The second operand transposed or not: none is clearly faster than the first, the fifth is.
  cuda::Product product(bool transposed = false) {
    cuda::Product p{};
    p.m = 3;
    p.n = p.k = p.lda = p.ldb = p.ld_out = p.ld_with = 4;
    p.transpose_b = transposed;
    p.type = p.out_type = CALM_F32;
    p.a = a_;
    p.b = b_;
    p.out = out_;
    return p;
  }
  std::unique_ptr<Blas> timed() {
    return std::make_unique<Blas>(stream_, cuda::Precision::kFp32, &host_);
  }
  /// The algorithm that `blas` takes; 0: not one.
  std::uint64_t taken(Blas &blas, const cuda::Product &p) {
    const std::vector<std::uint64_t> before = all_products();
    blas.multiply(p, false, stream_);
    cudaStreamSynchronize(stream_);
    const std::vector<std::uint64_t> after = all_products();
    std::uint64_t found = 0;
    for (std::uint64_t i = 0; i < kAlgorithms; ++i) {
      found = after[i] == before[i] + 1 ? i + 1 : found;
    }
    return found;
  }
  /// How many products `prepare` needs.
  std::uint64_t timed_for(Blas &blas, const cuda::Product &p) {
    const std::vector<std::uint64_t> before = all_products();
    blas.prepare({p});
    const std::vector<std::uint64_t> after = all_products();
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < kAlgorithms; ++i) {
      sum += after[i] - before[i];
    }
    return sum;
  }
  /// The one file in the cache.
  std::string file() const {
    for (const auto &entry : std::filesystem::directory_iterator(folder_.path("calm"))) {
      return entry.path().string();
    }
    return {};
  }

  TempFolder folder_;
  std::vector<std::pair<std::string, std::string>> before_;
  std::vector<std::string> log_;
  calm_host host_{};
  cudaStream_t stream_ = nullptr;
  alignas(256) float a_[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  alignas(256) float b_[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  alignas(256) float out_[12] = {};
};

TEST_F(Algorithms, TheFastestOfTheFirstEightIsTaken) {
  const std::vector<std::uint64_t> before = all_products();
  const std::unique_ptr<Blas> blas = timed();
  EXPECT_EQ(taken(*blas, product()), 1U) << "not prepared";
  EXPECT_GT(timed_for(*blas, product()), 0U);
  EXPECT_EQ(taken(*blas, product()), 5U);
  EXPECT_EQ(out_[4], 5);
  EXPECT_EQ(timed_for(*blas, product()), 0U) << "once";
  for (const std::uint64_t never : {3U, 4U, 11U}) {
    EXPECT_EQ(products(never), before[never - 1]) << never;
  }
  EXPECT_THAT(log_, IsEmpty());
}

// Beyond 256 tokens two sizes an octave: 257 to 384, 385 to 512.
TEST_F(Algorithms, AreSharedByBatchesOfAboutAsManyTokens) {
  std::vector<float> rows(4 * 512);
  std::vector<float> out(4 * 512);
  const auto of = [&](std::int64_t tokens, cuda::Tokens which = cuda::Tokens::kM) {
    cuda::Product p = product();
    p.m = tokens;
    p.a = rows.data();
    p.out = out.data();
    p.tokens = which;
    return p;
  };
  const std::unique_ptr<Blas> blas = timed();
  EXPECT_EQ(taken(*blas, of(300)), 1U) << "before any is timed";
  EXPECT_GT(timed_for(*blas, of(257)), 0U);
  EXPECT_EQ(timed_for(*blas, of(300)) + timed_for(*blas, of(384)), 0U);
  EXPECT_EQ(taken(*blas, of(300)), 5U);
  EXPECT_GT(timed_for(*blas, of(385)), 0U);
  EXPECT_EQ(timed_for(*blas, of(512)), 0U);
  EXPECT_GT(timed_for(*blas, of(255)), 0U) << "few tokens";
  EXPECT_GT(timed_for(*blas, of(256)), 0U);
  EXPECT_GT(timed_for(*blas, of(300, cuda::Tokens::kNone)), 0U) << "a size of the model";

  // Of a gradient of weights they are added up.
  const auto grad = [&](std::int64_t tokens) {
    cuda::Product p = of(4, cuda::Tokens::kK);
    p.k = tokens;
    p.transpose_a = true;
    p.b = rows.data();
    return p;
  };
  EXPECT_GT(timed_for(*blas, grad(384)), 0U);
  EXPECT_EQ(timed_for(*blas, grad(300)), 0U);
  rows.assign(rows.size(), 1.0F);
  EXPECT_EQ(taken(*blas, grad(300)), 5U);
  EXPECT_EQ(out[5], 300);
}

TEST_F(Algorithms, OfAGradientOfWeightsAreForFewMultiprocessors) {
  auto *const found = emulated<std::int32_t()>("calm_emulated_multiprocessors");
  ASSERT_NE(found, nullptr);
  Blas blas(stream_, cuda::Precision::kBf16);
  const auto asked = [&](std::int64_t m, std::int64_t tokens, calm_dtype type, cuda::Tokens which) {
    cuda::Product p{};
    p.m = p.lda = m;
    p.n = p.ldb = p.ld_out = p.ld_with = 8;
    p.k = tokens;
    p.transpose_a = true;
    p.type = type;
    p.out_type = CALM_F32;
    p.tokens = which;
    std::vector<float> a(static_cast<std::size_t>(m * tokens));
    std::vector<float> b(static_cast<std::size_t>(8 * tokens));
    std::vector<float> out(static_cast<std::size_t>(m * 8));
    p.a = a.data();
    p.b = b.data();
    p.out = out.data();
    blas.multiply(p, true, stream_);
    cudaStreamSynchronize(stream_);
    return found();
  };
  EXPECT_EQ(asked(8, 300, CALM_BF16, cuda::Tokens::kK), 12);
  EXPECT_EQ(asked(8, 8192, CALM_BF16, cuda::Tokens::kK), 12);
  EXPECT_EQ(asked(8, 8200, CALM_BF16, cuda::Tokens::kK), 32);
  EXPECT_EQ(asked(8, 300, CALM_F32, cuda::Tokens::kK), 0);
  EXPECT_EQ(asked(8, 300, CALM_BF16, cuda::Tokens::kNone), 0);
  EXPECT_EQ(asked((std::int64_t{1} << 17) + 8, 8, CALM_BF16, cuda::Tokens::kK), 0) << "a large one";
}

TEST_F(Algorithms, WhatIsNotClearlyFasterIsNotTaken) {
  const std::unique_ptr<Blas> blas = timed();
  blas->prepare({product(true)});
  EXPECT_EQ(taken(*blas, product(true)), 1U);
}

TEST_F(Algorithms, ASecondSessionReadsTheFileAndDoesNotTime) {
  timed()->prepare({product(), product(true)});
  const std::string bytes = read_bytes(file());
  const std::unique_ptr<Blas> blas = timed();
  EXPECT_EQ(timed_for(*blas, product()) + timed_for(*blas, product(true)), 0U);
  EXPECT_EQ(taken(*blas, product()), 5U);
  EXPECT_EQ(taken(*blas, product(true)), 1U);
  EXPECT_EQ(read_bytes(file()), bytes);
  cuda::Product wider = product();
  wider.ld_out = 8;
  EXPECT_GT(timed_for(*blas, wider), 0U) << "another problem";
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(Algorithms, OfTheLibraryTouchNoFile) {
  const std::vector<calm_value> first = {
      {literal("algorithms"), CALM_VALUE_STR, 0, 0, 0, literal("first")}};
  for (const calm_table options : {calm_table{}, table(first)}) {
    const std::unique_ptr<cuda::Session> session(cuda::open_session(0, options, &host_));
    EXPECT_FALSE(session->blas().timed());
    EXPECT_EQ(taken(session->blas(), product()), 1U);
  }
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_F(Algorithms, AreAnOption) {
  std::vector<calm_value> options = {
      {literal("algorithms"), CALM_VALUE_STR, 0, 0, 0, literal("timed")}};
  EXPECT_TRUE(std::unique_ptr<cuda::Session>(cuda::open_session(0, table(options), &host_))
                  ->blas()
                  .timed());
  options[0].str = literal("fast");
  try {
    cuda::open_session(0, table(options), &host_);
    FAIL() << "nothing was thrown";
  } catch (const Error &e) {
    EXPECT_EQ(std::string(e.what()), "option algorithms: expected first or timed, found \"fast\"");
  }
}

TEST_F(Algorithms, InADamagedFileAreTimedAgainWithAWarning) {
  timed()->prepare({product()});
  const std::string path = file();
  const std::string bytes = read_bytes(path);
  const std::string machine = bytes.substr(23, bytes.find('\n', 23) - 23);
  const auto damaged = [&](const std::string &text) {
    log_.clear();
    std::ofstream(path, std::ios::binary) << text;
    AlgorithmCache(&host_, machine);
    return log_.size();
  };
  EXPECT_EQ(damaged(bytes), 0U);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string text = bytes;
    text[i] = static_cast<char>(text[i] ^ 1);
    EXPECT_EQ(damaged(text), 1U) << "byte " << i;
    EXPECT_EQ(damaged(bytes.substr(0, i)), i == 0 ? 0U : 1U) << i << " bytes";
  }
  EXPECT_EQ(damaged(bytes + "\n"), 1U);
  EXPECT_THAT(log_[0], HasSubstr(path + ": expected a file that ends with its sum"));

  log_.clear();
  const std::unique_ptr<Blas> blas = timed();
  EXPECT_GT(timed_for(*blas, product()), 0U);
  EXPECT_EQ(taken(*blas, product()), 5U);
  EXPECT_EQ(log_.size(), 1U) << "one warning";
  EXPECT_EQ(read_bytes(path), bytes) << "written anew";
}

TEST_F(Algorithms, OfAnotherMachineAreNotUsed) {
  AlgorithmCache(&host_, "a card").add({{{1, 2}, kFifth}});
  const std::string path = file();
  AlgorithmCache(&host_, "a-card").add({});
  EXPECT_THAT(log_, ElementsAre(HasSubstr("expected algorithms for a-card, found another")));
  EXPECT_EQ(read_bytes(path).substr(0, 31), "calm cuda algorithms 1\na-card\ns");
}

// Of the library's own numbers: none that is known, one whose sums change, one that wants too much.
TEST_F(Algorithms, ThatCannotBeUsedAreTimedAgain) {
  timed()->prepare({product()});
  const std::string path = file();
  const std::string bytes = read_bytes(path);
  std::istringstream lines(bytes);
  std::string machine;
  std::getline(lines, machine);
  std::getline(lines, machine);
  std::string line;
  std::getline(lines, line);
  std::istringstream numbers(line.substr(0, line.rfind(' ')));
  Problem problem;
  for (std::int64_t number = 0; numbers >> number;) {
    problem.push_back(number);
  }
  for (const std::uint64_t bad : {12U, 3U, 4U}) {
    std::filesystem::remove(path);
    AlgorithmCache(&host_, machine).add({{problem, {bad}}});
    const std::unique_ptr<Blas> blas = timed();
    EXPECT_GT(timed_for(*blas, product()), 0U) << bad;
    EXPECT_EQ(taken(*blas, product()), 5U) << bad;
    EXPECT_EQ(read_bytes(path), bytes) << bad;
  }
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(Algorithms, ThatAnotherProcessKeptFirstStay) {
  AlgorithmCache one(&host_, "card");
  AlgorithmCache other(&host_, "card");
  one.add({{{1, 2}, kFifth}});
  other.add({{{1, 2}, {6}}, {{3}, {7}}});
  ASSERT_NE(other.find({1, 2}), nullptr);
  EXPECT_EQ(*other.find({1, 2}), kFifth);
  EXPECT_EQ(one.find({3}), nullptr);
  const AlgorithmCache later(&host_, "card");
  ASSERT_NE(later.find({3}), nullptr);
  EXPECT_EQ(*later.find({3}), Algorithm{7});
  EXPECT_EQ(*later.find({1, 2}), kFifth);
}

TEST_F(Algorithms, OfManyAtOnceAreAllKept) {
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      AlgorithmCache cache(&host_, "card");
      for (std::int64_t i = 0; i < 10; ++i) {
        cache.add({{{t, i}, kFifth}});
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  const AlgorithmCache cache(&host_, "card");
  for (std::int64_t i = 0; i < 40; ++i) {
    EXPECT_NE(cache.find({i / 10, i % 10}), nullptr) << i;
  }
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(Algorithms, AreTimedInEachRunWhereNoFileCanBe) {
  const std::string plain = folder_.write("plain", "not a folder");
  ::setenv("XDG_CACHE_HOME", plain.c_str(), 1);
  std::unique_ptr<Blas> blas = timed();
  blas->prepare({product()});
  blas->prepare({product(true)});
  EXPECT_EQ(taken(*blas, product()), 5U);
  EXPECT_THAT(log_, ElementsAre(HasSubstr("cannot write: Not a directory: algorithms are timed")));

  log_.clear();
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  blas = timed();
  EXPECT_GT(timed_for(*blas, product()), 0U);
  EXPECT_EQ(taken(*blas, product()), 5U);
  EXPECT_THAT(log_, ElementsAre(HasSubstr("expected XDG_CACHE_HOME or HOME, found neither")));
}

TEST_F(Algorithms, AreKeptAtHomeWhereNothingElseIsSaid) {
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  ::setenv("HOME", folder_.path("home").c_str(), 1);
  AlgorithmCache(&host_, "card").add({{{1}, kFifth}});
  EXPECT_TRUE(std::filesystem::exists(folder_.path("home/.cache/calm/cuda_algorithms-card.txt")));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(Algorithms, AreNotReadFromAPipe) {
  std::filesystem::create_directory(folder_.path("calm"));
  ASSERT_EQ(::mkfifo(folder_.path("calm/cuda_algorithms-card.txt").c_str(), 0600), 0);
  AlgorithmCache(&host_, "card").add({{{1}, kFifth}});
  EXPECT_THAT(log_, ElementsAre(HasSubstr("expected a regular file")));
  EXPECT_NE(AlgorithmCache(&host_, "card").find({1}), nullptr) << "replaced";
}

TEST_F(Algorithms, AreTheFirstWhereMemoryToTimeInEnds) {
  cuda::Product huge = product();
  huge.m = std::int64_t{1} << 40;
  const std::unique_ptr<Blas> blas = timed();
  EXPECT_EQ(timed_for(*blas, huge), 0U);
  EXPECT_THAT(log_, ElementsAre(HasSubstr("algorithms=timed: cuda: expected ")));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace calm::cuda_test
