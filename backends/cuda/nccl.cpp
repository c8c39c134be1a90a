#include "cuda/nccl.hpp"

#include <calm/cpp/error.hpp>

#include "cuda/library.hpp"

namespace calm::cuda {
namespace {

// 22809 is 2.28.9; before 2.9 it was 2804 for 2.8.4.
std::string text_of(int version) {
  const int minor = version < 10000 ? version / 100 % 10 : version / 100 % 100;
  return "2." + std::to_string(minor) + "." + std::to_string(version % 100);
}

Nccl open_nccl() {
  const std::string soname = "libnccl.so.2";
  std::string why;
  void *const handle = open_library(in_usual_places({soname}), &why);
  if (handle == nullptr) {
    throw Error(CALM_UNAVAILABLE, "NCCL, which adds up over several processes: " + why +
                                      "; LD_LIBRARY_PATH may name its folder");
  }
  Nccl nccl;
  const auto get = [&](auto &function, const char *symbol) {
    find(handle, function, symbol, soname);
  };
  get(nccl.error_string, "ncclGetErrorString");
  get(nccl.get_version, "ncclGetVersion");
  get(nccl.unique_id, "ncclGetUniqueId");
  get(nccl.init_rank, "ncclCommInitRank");
  get(nccl.all_reduce, "ncclAllReduce");
  get(nccl.async_error, "ncclCommGetAsyncError");
  get(nccl.abort, "ncclCommAbort");
  int version = 0;
  if (nccl.get_version(&version) != Nccl::kSuccess) {
    throw Error(CALM_UNAVAILABLE, soname + " does not tell its version");
  }
  nccl.version = text_of(version);
  return nccl;
}

}  // namespace

const Nccl &nccl() {
  static const Nccl instance = open_nccl();
  return instance;
}

}  // namespace calm::cuda
