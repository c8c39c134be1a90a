// A session: the reference's, with options, packed weights and the memory its executables share.
#pragma once

#include <calm/backend.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "onednn/pack.hpp"
#include "onednn/products.hpp"
#include "reference/session.hpp"

namespace calm::onednn {

/// A weight matrix in the layout of the product's kernel, shared by all executables that multiply
/// by it. Packed anew when the weights have changed since.
struct PackedWeights {
  std::shared_ptr<reference::HostMemory> chunk;  ///< what it lies in, with others
  std::byte *data = nullptr;
  std::uint64_t version = 0;  ///< of the buffer it was packed from, plus one; 0: never packed
};

struct Session : calm_session {
  Session(const calm_host &h, reference::Level l, WeightType w, std::unique_ptr<Products> p)
      : calm_session(h, l), weights(w), products(std::move(p)) {}

  const WeightType weights;
  const std::unique_ptr<Products> products;  ///< null: our own kernels do all
  /// By buffer, offset in it and shape.
  std::map<std::tuple<const calm_buffer *, std::uint64_t, PackShape>,
           std::shared_ptr<PackedWeights>>
      packed;
  /// Memory for the next packed weights: together in large pages.
  std::shared_ptr<reference::HostMemory> chunk;
  std::uint64_t chunk_used = 0;
  std::vector<calm_binding *> bindings;  ///< whose addresses move with the session's memory
};

/// The widest instruction set of this processor that kernels are compiled for.
Level best_level();

/// Options: simd (avx512, avx2 or base; default the best there is), weights (fp32, bf16 or int8:
/// how matrices that are only read are kept; default fp32), products (own or onednn: who does those
/// of blocks of rows; default own), precision (fp32 or bf16: of the operands of oneDNN's products,
/// in training too; default fp32). Throws INVALID_ARGUMENT, or UNAVAILABLE.
Session *open_session(std::uint32_t device, calm_table options, const calm_host *host);

}  // namespace calm::onednn
