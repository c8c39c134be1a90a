#include "cuda/cublaslt.hpp"

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "cuda/library.hpp"

namespace calm::cuda {
namespace {

/// The version we were compiled with first.
std::vector<std::string> sonames() {
  std::vector<std::string> names;
  for (const int major : {CUBLAS_VER_MAJOR, 13, 12}) {
    std::string name = "libcublasLt.so." + std::to_string(major);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Cublaslt open_cublaslt() {
  const std::vector<std::string> names = sonames();
  std::string why;
  void *const handle = open_library(in_usual_places(names), &why);
  if (handle == nullptr) {
    throw Error(CALM_UNAVAILABLE, "cuBLASLt: " + why + "; LD_LIBRARY_PATH may name its folder");
  }
  Cublaslt lt;
  const auto get = [&](auto &function, const char *symbol) {
    find(handle, function, symbol, names.front());
  };
  get(lt.create, "cublasLtCreate");
  get(lt.destroy, "cublasLtDestroy");
  get(lt.matmul, "cublasLtMatmul");
  get(lt.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  get(lt.version, "cublasLtGetVersion");
  get(lt.algorithm_check, "cublasLtMatmulAlgoCheck");
  get(lt.algorithm_get, "cublasLtMatmulAlgoConfigGetAttribute");
  get(lt.desc_create, "cublasLtMatmulDescCreate");
  get(lt.desc_destroy, "cublasLtMatmulDescDestroy");
  get(lt.desc_set, "cublasLtMatmulDescSetAttribute");
  get(lt.layout_create, "cublasLtMatrixLayoutCreate");
  get(lt.layout_destroy, "cublasLtMatrixLayoutDestroy");
  get(lt.preference_create, "cublasLtMatmulPreferenceCreate");
  get(lt.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  get(lt.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  return lt;
}

}  // namespace

const Cublaslt &cublaslt() {
  static const Cublaslt instance = open_cublaslt();
  return instance;
}

}  // namespace calm::cuda
