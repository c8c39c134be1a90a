#include "cuda/blas.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "cuda/cublaslt.hpp"
#include "cuda/error.hpp"
#include "cuda/timing.hpp"

namespace calm::cuda {
namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr std::int64_t kMaxAlign = 256;
/// Orders of sums that do not change between runs.
constexpr std::uint32_t kSchemes =
    CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
/// Up to so many tokens each number of them has algorithms of its own, beyond it two an octave
/// have: with sixteen, as programs are compiled for, an epoch of micro met 624 problems and waited
/// 0.5 s for the code of their kernels; steps were no faster.
constexpr std::int64_t kFewTokens = 256;
constexpr int kCandidates = 8;     // that are timed; the library gave no more of them
constexpr float kClearly = 0.97F;  // of the first one's time: what is closer is noise
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));

std::int64_t align_of(const void *pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return address == 0 ? kMaxAlign
                      : static_cast<std::int64_t>(
                            std::min<std::uintptr_t>(address & (~address + 1), kMaxAlign));
}

cudaDataType_t type_of(calm_dtype type) { return type == CALM_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

/// What times depend on but the product: cuBLASLt, and how fast the card is in what.
std::string machine() {
  int device = 0;
  int driver = 0;
  cudaDeviceProp properties{};
  check(cudaGetDevice(&device), "describing the device");
  check(cudaGetDeviceProperties(&properties, device), "describing the device");
  check(cudaDriverGetVersion(&driver), "describing the device");
  return std::string(properties.name) + ", " + std::to_string(properties.multiProcessorCount) +
         " multiprocessors, driver " + std::to_string(driver) + ", cuBLASLt " +
         std::to_string(cublaslt().version());
}

/// The product whose algorithm all have that are like it but for some tokens more or less.
Product model_of(Product p) {
  std::int64_t &tokens = p.tokens == Tokens::kM ? p.m : p.k;
  if (p.tokens != Tokens::kNone && tokens > kFewTokens) {
    std::int64_t step = kFewTokens / 2;
    while (4 * step < tokens) {
      step *= 2;
    }
    tokens = div_up(tokens, step) * step;
  }
  return p;
}

/// Multiprocessors that a product is to take; 0: all. A gradient of weights runs beside the mixer
/// and the layer norms. One that takes all 132 is done sooner, but what meets it waits for it: a
/// step of 16 sequences took mini 1.066 and small 2.10 ms so, with 8 multiprocessors 1.02 and 2.13,
/// with 12 1.03 and 2.03, with 16 1.07 and 2.05; one of 128 sequences 4.69 and 10.84, with 16, 24
/// and 32 4.57, 4.62, 4.58 and 11.07, 10.86, 10.78 (H200). In f32 it would hold up the step, and so
/// would one larger than those of the presets.
std::int32_t multiprocessors_for(const Product &p) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  if (p.tokens != Tokens::kK || p.type != CALM_BF16 || p.m * p.n > kLargest) {
    return 0;
  }
  return p.k <= 8192 ? 12 : 32;
}

/// Puts operands of no importance one behind the other, as aligned as they are.
class Layout {
 public:
  void *add(const void *like, std::int64_t rows, std::int64_t ld, calm_dtype type) {
    if (like == nullptr) {
      return nullptr;
    }
    const std::int64_t align = align_of(like);
    const std::int64_t at = end_ + (align == kMaxAlign ? 0 : align);
    const std::int64_t bytes = rows * ld * static_cast<std::int64_t>(dtype_bytes(type));
    end_ = (at + bytes + kMaxAlign - 1) / kMaxAlign * kMaxAlign;
    return reinterpret_cast<void *>(base_ + static_cast<std::uintptr_t>(at));
  }
  explicit Layout(std::byte *base) : base_(reinterpret_cast<std::uintptr_t>(base)) {}
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(end_); }

 private:
  std::uintptr_t base_;
  std::int64_t end_ = 0;
};

/// `p` with operands behind `base`, and the bytes that they take.
Product placed(Product p, std::byte *base, std::uint64_t *bytes) {
  Layout layout(base);
  p.a = layout.add(p.a, p.transpose_a ? p.k : p.m, p.lda, p.type);
  p.b = layout.add(p.b, p.transpose_b ? p.n : p.k, p.ldb, p.type);
  p.out = layout.add(p.out, p.m, p.ld_out, p.out_type);
  p.with = layout.add(p.finish == Finish::kNone ? nullptr : p.with, p.m, p.ld_with, p.out_type);
  *bytes = layout.bytes();
  return p;
}

}  // namespace

/// What one size of product needs beside its addresses.
struct Blas::Choice {
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, with = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
  bool found = false;
  bool settled = false;  // by time

  Choice() = default;
  Choice(const Choice &) = delete;
  Choice &operator=(const Choice &) = delete;
  ~Choice() {
    for (auto *const layout : {a, b, with, out}) {
      if (layout != nullptr) {
        cublaslt().layout_destroy(layout);
      }
    }
    if (desc != nullptr) {
      cublaslt().desc_destroy(desc);
    }
  }
};

Blas::Blas(cudaStream_t stream, Precision precision, const calm_host *timed)
    : stream_(stream),
      tf32_(precision == Precision::kTf32),
      bf16_(precision == Precision::kBf16),
      workspaces_{DeviceMemory(kWorkspace, stream), DeviceMemory(kWorkspace, stream)} {
  if (timed != nullptr) {
    cache_ = std::make_unique<AlgorithmCache>(timed, machine());
  }
  int device = 0;
  check(cudaGetDevice(&device), "describing the device");
  cublasLtHandle_t handle = nullptr;
  check_blas(cublaslt().create(&handle), "opening");
  handle_ = handle;
  try {
    rehearsal_ = std::async(std::launch::async, [this, device] {
      if (cudaSetDevice(device) == cudaSuccess) {
        rehearse();
      }
    });
  } catch (const std::exception &) {
    // No memory or no thread for it: the first who asks waits.
  }
}

Blas::~Blas() {
  end_rehearsal();
  choices_.clear();
  if (handle_ != nullptr) {
    cublaslt().destroy(static_cast<cublasLtHandle_t>(handle_));
  }
}

Blas::Key Blas::key_of(const Product &p) const {
  const bool finished = p.finish != Finish::kNone;
  return {p.m,
          p.n,
          p.k,
          p.transpose_a,
          p.transpose_b,
          p.type,
          p.out_type,
          tf32_ && p.type == CALM_F32,
          p.lda,
          p.ldb,
          p.ld_out,
          static_cast<std::int64_t>(p.finish),
          finished ? p.ld_with : 0,
          align_of(p.a),
          align_of(p.b),
          align_of(p.out),
          finished ? align_of(p.with) : 0,
          static_cast<std::int64_t>(p.tokens)};
}

void Blas::rehearse() const {
  Product p{};
  p.m = 2048;
  p.n = p.k = p.lda = p.ldb = p.ld_out = p.ld_with = 128;
  p.transpose_b = true;
  p.type = bf16_ ? CALM_BF16 : CALM_F32;
  std::vector<Product> products;
  for (const calm_dtype out : {CALM_F32, CALM_BF16}) {
    for (const Finish finish : {Finish::kAdd, Finish::kGelu, Finish::kNone}) {
      p.out_type = out;
      p.finish = finish;
      if (bf16_ || (out == CALM_F32 && finish != Finish::kGelu)) {
        products.push_back(p);
      }
    }
  }
  try {
    for (const Product &product : products) {
      Choice choice;
      describe(product, choice);
      ask(product, choice, 1);
    }
  } catch (const std::exception &) {
    // What fails here fails again where somebody waits for it.
  }
}

void Blas::end_rehearsal() {
  if (rehearsal_.valid()) {
    rehearsal_.get();
  }
}

void Blas::abandon() {
  end_rehearsal();
  handle_ = nullptr;
}

Blas::Choice *Blas::choose(const Product &p) {
  end_rehearsal();
  const Key key = key_of(p);
  std::unique_ptr<Choice> &known = choices_[key];
  if (known == nullptr) {
    known = std::make_unique<Choice>();
    try {
      describe(p, *known);
      const Product model = model_of(p);
      const Choice *const shared = key_of(model) == key ? nullptr : choose(model);
      if (shared == nullptr || !adopt(*known, shared->algorithm)) {
        const auto found = ask(p, *known, 1);
        known->found = !found.empty();
        if (known->found) {
          known->algorithm = found.front().algo;
          known->workspace = found.front().workspaceSize;
        }
      }
    } catch (...) {
      choices_.erase(key);
      throw;
    }
  }
  return known->found ? known.get() : nullptr;
}

// The library counts column after column: there our row-major out [m, n] is an n by m matrix,
// out' = op(b)' op(a)'.
void Blas::describe(const Product &p, Choice &choice) const {
  const Cublaslt &lt = cublaslt();
  const bool tf32 = tf32_ && p.type == CALM_F32;
  check_blas(lt.desc_create(&choice.desc, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                            CUDA_R_32F),
             "describing a product");
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto &value) {
    check_blas(lt.desc_set(choice.desc, attribute, &value, sizeof value), "describing a product");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (const std::int32_t few = multiprocessors_for(p); few != 0) {
    set(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, few);
  }
  if (p.finish == Finish::kGelu) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU_AUX);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.ld_with);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE,
        static_cast<std::int32_t>(type_of(p.out_type)));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.with);
  }
  const auto layout = [&](cublasLtMatrixLayout_t *to, calm_dtype type, std::int64_t rows,
                          std::int64_t columns, std::int64_t ld) {
    check_blas(lt.layout_create(to, type_of(type), static_cast<std::uint64_t>(columns),
                                static_cast<std::uint64_t>(rows), ld),
               "describing a matrix");
  };
  layout(&choice.b, p.type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb);
  layout(&choice.a, p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda);
  layout(&choice.out, p.out_type, p.m, p.n, p.ld_out);
  layout(&choice.with, p.out_type, p.m, p.n, p.finish == Finish::kAdd ? p.ld_with : p.ld_out);
}

std::vector<cublasLtMatmulHeuristicResult_t> Blas::ask(const Product &p, const Choice &choice,
                                                       int most) const {
  const Cublaslt &lt = cublaslt();
  cublasLtMatmulPreference_t preference = nullptr;
  check_blas(lt.preference_create(&preference), "choosing an algorithm");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto &value) {
    lt.preference_set(preference, attribute, &value, sizeof value);
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kSchemes);
  const auto out_align = static_cast<std::uint32_t>(align_of(p.out));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<std::uint32_t>(align_of(p.b)));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<std::uint32_t>(align_of(p.a)));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
         p.finish == Finish::kAdd ? static_cast<std::uint32_t>(align_of(p.with)) : out_align);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out_align);
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
  int count = 0;
  const cublasStatus_t status =
      lt.heuristic(static_cast<cublasLtHandle_t>(handle_), choice.desc, choice.b, choice.a,
                   choice.with, choice.out, preference, most, found.data(), &count);
  lt.preference_destroy(preference);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) {
    return {};
  }
  check_blas(status, "choosing an algorithm");
  found.resize(static_cast<std::size_t>(count));
  return found;
}

void Blas::prepare(const std::vector<Product> &products) {
  struct Open {
    Product product;
    Choice *choice;
    Problem problem;
  };
  std::vector<Open> open;
  std::uint64_t most = 0;
  for (const Product &product : products) {
    const Product p = model_of(product);
    Choice *const choice = choose(p);
    const auto same = [&](const Open &other) { return other.choice == choice; };
    if (choice == nullptr || choice->settled || std::any_of(open.begin(), open.end(), same)) {
      continue;
    }
    const Key key = key_of(p);
    Problem problem(key.begin(), key.end());
    problem.insert(problem.end(),
                   {static_cast<std::int64_t>(kWorkspace), kSchemes, multiprocessors_for(p)});
    choice->settled = take(*choice, problem);
    if (!choice->settled) {
      std::uint64_t bytes = 0;
      placed(p, nullptr, &bytes);
      most = std::max(most, bytes);
      open.push_back({p, choice, std::move(problem)});
    }
  }
  if (!open.empty()) {
    std::map<Problem, Algorithm> chosen;
    try {
      const DeviceMemory operands = typical_numbers(most, stream_);
      for (const Open &o : open) {
        chosen[o.problem] = fastest(o.product, *o.choice, operands.data());
      }
    } catch (const Error &e) {
      if (e.status() != CALM_OUT_OF_MEMORY) {
        throw;
      }
      cache_->warn("algorithms=timed: " + std::string(e.what()) +
                   ": the library's first algorithms are taken");
    }
    cache_->add(chosen);
    for (const Open &o : open) {
      take(*o.choice, o.problem);
      o.choice->settled = true;
    }
  }
  for (const Product &p : products) {
    const Choice *const model = choose(model_of(p));
    Choice *const choice = choose(p);
    if (model != nullptr && choice != nullptr && choice != model) {
      adopt(*choice, model->algorithm);
    }
  }
}

bool Blas::adopt(Choice &choice, const cublasLtMatmulAlgo_t &algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  if (cublaslt().algorithm_check(static_cast<cublasLtHandle_t>(handle_), choice.desc, choice.b,
                                 choice.a, choice.with, choice.out, &algorithm,
                                 &result) != CUBLAS_STATUS_SUCCESS ||
      result.workspaceSize > kWorkspace) {
    return false;
  }
  choice.algorithm = algorithm;
  choice.workspace = result.workspaceSize;
  choice.found = true;
  return true;
}

bool Blas::take(Choice &choice, const Problem &problem) {
  const Algorithm *const kept = cache_->find(problem);
  if (kept == nullptr) {
    return false;
  }
  cublasLtMatmulAlgo_t algorithm{};
  std::memcpy(&algorithm, kept->data(), sizeof algorithm);
  std::uint32_t scheme = 0;
  std::size_t written = 0;
  const bool ordered =
      cublaslt().algorithm_get(&algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                               sizeof scheme, &written) == CUBLAS_STATUS_SUCCESS &&
      (scheme & ~kSchemes) == 0;
  if (!ordered || !adopt(choice, algorithm)) {
    cache_->refuse(problem);
    return false;
  }
  return true;
}

Algorithm Blas::fastest(const Product &p, const Choice &choice, std::byte *memory) const {
  std::uint64_t bytes = 0;
  const Product there = placed(p, memory, &bytes);
  const auto found = ask(p, choice, kCandidates);
  const std::vector<float> times = times_of(
      found.size(),
      [&](std::size_t i) {
        launch(there, choice, found[i].algo, found[i].workspaceSize, workspaces_[0], stream_);
      },
      stream_);
  const auto best = std::min_element(times.begin(), times.end());
  cublasLtMatmulAlgo_t algorithm = choice.algorithm;
  if (best != times.end() && *best < kClearly * times.front()) {
    algorithm = found[static_cast<std::size_t>(best - times.begin())].algo;
  }
  Algorithm bits;
  std::memcpy(bits.data(), &algorithm, sizeof algorithm);
  return bits;
}

bool Blas::can(const Product &product) { return choose(product) != nullptr; }

void Blas::multiply(const Product &p, bool side, cudaStream_t stream) {
  const Choice *const choice = choose(p);
  if (choice == nullptr) {
    throw Error(CALM_FAILED, "cublasLt: no algorithm for a product of " + std::to_string(p.m) +
                                 " x " + std::to_string(p.n) + " x " + std::to_string(p.k));
  }
  launch(p, *choice, choice->algorithm, choice->workspace, workspaces_[side ? 1 : 0], stream);
}

void Blas::launch(const Product &p, const Choice &choice, const cublasLtMatmulAlgo_t &algorithm,
                  std::size_t bytes, const DeviceMemory &workspace, cudaStream_t stream) const {
  const Cublaslt &lt = cublaslt();
  if (p.finish == Finish::kGelu) {
    check_blas(
        lt.desc_set(choice.desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &p.with, sizeof p.with),
        "describing a product");
  }
  const float one = 1;
  const float beta = p.finish == Finish::kAdd ? 1.0F : 0.0F;
  check_blas(lt.matmul(static_cast<cublasLtHandle_t>(handle_), choice.desc, &one, p.b, choice.b,
                       p.a, choice.a, &beta, p.finish == Finish::kAdd ? p.with : p.out, choice.with,
                       p.out, choice.out, &algorithm, workspace.data(), bytes, stream),
             "multiplying");
}

}  // namespace calm::cuda
