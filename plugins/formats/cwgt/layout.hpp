#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

// Which parameters a model of given sizes has, their shapes and where a CWGT file keeps them: spec
// byte-mamba-lm E.1, E.7, K.5.
namespace calm::cwgt {

inline constexpr std::uint64_t kVocabSize = 320;

// As the header holds them, dt_rank resolved. Header widths keep every product below 2^64.
struct Sizes {
  std::uint64_t d_model = 0, n_layers = 0, l_max = 0, ffn_expand = 0, expand = 0, d_state = 0,
                d_conv = 0, dt_rank = 0;
};

// dt_rank, or ceil(d_model / 16) for 0.
std::uint64_t resolved_dt_rank(std::uint64_t dt_rank, std::uint64_t d_model);

// Number of parameters, the tied matrix counted once (E.7). Allocates nothing.
std::uint64_t param_count(const Sizes &sizes);

struct Parameter {
  std::string name;      // of a checkpoint: blocks.0.mixer.in_proj.weight
  std::uint64_t rows;    // first extent of the checkpoint shape
  std::uint64_t cols;    // second extent, 0 for a vector
  bool transposed;       // the file holds [cols, rows]
  std::uint64_t offset;  // of its first element in the block, in elements

  std::uint64_t elements() const { return cols == 0 ? rows : rows * cols; }
};

// In parameter order (E.1).
std::vector<Parameter> parameters(const Sizes &sizes);

// Index of the first NaN or infinity, values.size() when there is none.
std::size_t first_non_finite(std::span<const float> values);

}  // namespace calm::cwgt
