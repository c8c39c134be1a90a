// Operands of the nodes that `compile` makes of several (fuse.cpp). "act" is the type activations
// are stored in: f32, or bf16 under precision=bf16; a node's are all alike. T rows, E channels, N
// states, R the rank of the step size, W = R + 2 N or more (what is behind is 0: pad.cpp), S
// sequences, C = ceil(T / 64) chunks.
#pragma once

#include <calm/ops/causal_conv_silu.h>
#include <calm/ops/layer_norm.h>
#include <calm/ops/optimizer.h>

#include <cstdint>

namespace calm::cuda {

inline constexpr char kMixer[] = "mixer";
inline constexpr char kMixerGrad[] = "mixer_grad";

/// Adds up the rows of x f32 [n, d], in double; outputs, some absent, are consecutive columns of
/// the sum, as many as the attributes say.
inline constexpr char kSumColumns[] = "sum_columns";

/// layer_norm_grad as fused: a sixth input f32 [T, d] is added to grad_x (the residual stream's
/// gradient); parts of the sums over rows instead of the gradients of weight and bias.
inline constexpr char kNormGrad[] = CALM_OP_LAYER_NORM_GRAD;
/// That a part is of: few where there are few, so that all multiprocessors have some.
constexpr std::int64_t norm_grad_rows(std::int64_t rows) { return rows <= 8192 ? 16 : 32; }
enum NormGradIn : std::uint32_t { kNormGradResidual = CALM_LAYER_NORM_GRAD_GRAD + 1 };
enum NormGradOut : std::uint32_t {
  kNormGradX,     // f32 [T, d]
  kNormGradSums,  // f32 [parts, 2 d]: of the weight, then of the bias; or absent
  kNormGradCopy,  // act [T, d]: grad_x again, or absent
};

/// cross_entropy and its gradient. Inputs: logits f32 [T, V], targets i32 [T], the gradient's
/// factor f32. Outputs: the loss f32, grad of the logits act [T, V].
inline constexpr char kLoss[] = "loss";

/// global_norm and the guard that follows it. Inputs: the tensors, then the guard's counter.
/// Outputs: those of the norm, `ok` absent where only the guard reads it, then these.
inline constexpr char kGuardedNorm[] = "guarded_norm";
enum GuardedNormOut : std::uint32_t {
  kGuardedNormGo = CALM_GLOBAL_NORM_OK + 1,  // i32
  kGuardedNormBad,                           // i32
};

/// causal_conv_silu_grad as fused.
inline constexpr char kConvGrad[] = CALM_OP_CAUSAL_CONV_SILU_GRAD;
enum ConvGradOut : std::uint32_t {
  kConvGradX,     // act [T, E], may be columns of a wider tensor
  kConvGradSums,  // f32 [C, E K]: of the weight; or absent
};

/// The scan of a block with what surrounds it, spec E.5.3 to E.5.6:
///   delta = softplus(q[:, :R] dt_weight' + dt_bias), b = q[:, R:R+N], c = q[:, R+N:]
///   y = selective_scan(s, delta, -exp(a_log), b, c, d), g = y silu(z)
enum MixerIn : std::uint32_t {
  kMixerS,         // act [T, E]
  kMixerQ,         // act [T, W]
  kMixerZ,         // act [T, E], columns of a wider tensor
  kMixerDtWeight,  // f32 [E, R]
  kMixerDtBias,    // f32 [E]
  kMixerALog,      // f32 [E, N]
  kMixerD,         // f32 [E]
  kMixerOffsets,   // i32 [S + 1]
  kMixerInputs
};
enum MixerOut : std::uint32_t {
  kMixerG,       // act [T, E]
  kMixerY,       // act [T, E], or absent
  kMixerStates,  // act [ceil(T / 8), ceil(N / 2), E, 2]: the states before every 8th row, or absent
  kMixerDelta,   // f32 [T, E]; 0 in rows that belong to no sequence
};

/// Attribute of it and of its gradient: rows of a piece, which a block does from one end to the
/// other; a multiple of 8, at most 256.
inline constexpr std::uint32_t kMixerPiece = 0;
inline constexpr std::int64_t kMixerGroup = 8;
inline constexpr std::int64_t kMixerMostRows = 256;
constexpr std::int64_t mixer_pieces(std::int64_t rows, std::int64_t piece) {
  return (rows + piece - 1) / piece;
}
/// Short where there is little to do side by side: every scheduler of a card is to have four warps
/// of 32 channels, and more where that costs little; what pieces hand on costs as much as a few
/// rows.
constexpr std::int64_t mixer_piece(std::int64_t rows, std::int64_t channels) {
  const std::int64_t warps = (channels + 31) / 32;
  return mixer_pieces(rows, 64) * warps >= 4000   ? 64
         : mixer_pieces(rows, 32) * warps >= 1500 ? 32
                                                  : 16;
}

/// The same of its gradient. Where there is much to do, longer ones that keep every place of a card
/// of 132 multiprocessors, 16 warps each, busy to the end; they also leave fewer parts of sums.
constexpr std::int64_t mixer_grad_piece(std::int64_t rows, std::int64_t channels) {
  constexpr std::int64_t kPlaces = 132 * 16;
  constexpr std::int64_t kHandedOn = 6;  // what handing on costs, in rows
  std::int64_t piece = mixer_piece(rows, channels);
  if (piece < 64) {
    return piece;
  }
  const auto time = [&](std::int64_t p) {
    const std::int64_t warps = mixer_pieces(rows, p) * ((channels + 31) / 32);
    return (warps + kPlaces - 1) / kPlaces * (p + kHandedOn);
  };
  for (std::int64_t p = piece; p <= kMixerMostRows; p += kMixerGroup) {
    piece = time(p) < time(piece) ? p : piece;
  }
  return piece;
}

/// Its gradient. Inputs: those of the mixer, then these.
enum MixerGradIn : std::uint32_t {
  kMixerGradY = kMixerInputs,  // act [T, E]
  kMixerGradStates,            // as the mixer left them
  kMixerGradDelta,             //
  kMixerGradG,                 // act [T, E]: dL/dg
};
enum MixerGradOut : std::uint32_t {
  kMixerGradS,     // act [T, E]: without what comes through q
  kMixerGradQ,     // act [T, W]
  kMixerGradZ,     // act [T, E], columns of a wider tensor
  kMixerGradSums,  // f32 [pieces, E (N + 2 + R)]: a piece's part of the gradients of a_log [E, N],
                   // d [E], dt_bias [E] and dt_weight [E, R], added up by a later node
};

}  // namespace calm::cuda
