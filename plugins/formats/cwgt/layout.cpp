#include "layout.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace calm::cwgt {
namespace {

// One kind of array of a layer. Rows of the table are in parameter order, `place` is the position
// in the file.
struct LayerArray {
  std::string_view name;
  std::uint64_t rows, cols;
  bool transposed;
  std::size_t place;
};

constexpr std::size_t kLayerArrays = 14;

std::array<LayerArray, kLayerArrays> layer_arrays(const Sizes &s) {
  const std::uint64_t d = s.d_model, e = d * s.expand, f = d * s.ffn_expand, n = s.d_state,
                      r = s.dt_rank;
  return {{{"ln1.weight", d, 0, false, 0},
           {"ln1.bias", d, 0, false, 1},
           {"mixer.conv1d_weight", e, s.d_conv, false, 3},
           {"mixer.A_log", e, n, false, 7},
           {"mixer.D", e, 0, false, 8},
           {"mixer.in_proj.weight", 2 * e, d, true, 2},
           {"mixer.x_proj.weight", r + 2 * n, e, true, 4},
           {"mixer.dt_proj.weight", e, r, true, 5},
           {"mixer.dt_proj.bias", e, 0, false, 6},
           {"mixer.out_proj.weight", d, e, true, 9},
           {"ln2.weight", d, 0, false, 10},
           {"ln2.bias", d, 0, false, 11},
           {"ffn_fc1.weight", f, d, true, 12},
           {"ffn_fc2.weight", d, f, true, 13}}};
}

}  // namespace

std::uint64_t resolved_dt_rank(std::uint64_t dt_rank, std::uint64_t d_model) {
  return dt_rank != 0 ? dt_rank : (d_model + 15) / 16;
}

std::uint64_t param_count(const Sizes &s) {
  const std::uint64_t d = s.d_model, e = d * s.expand, f = d * s.ffn_expand, n = s.d_state,
                      r = s.dt_rank;
  const std::uint64_t layer = 4 * d + 2 * d * e + e * s.d_conv + e * (r + 2 * n) + r * e + e +
                              e * n + e + e * d + 2 * d * f;
  return kVocabSize * d + 2 * d + s.n_layers * layer;
}

std::vector<Parameter> parameters(const Sizes &sizes) {
  std::vector<Parameter> all;
  all.push_back({"token_emb.weight", kVocabSize, sizes.d_model, false, 0});
  std::uint64_t offset = all.back().elements();

  const auto arrays = layer_arrays(sizes);
  for (std::uint64_t layer = 0; layer < sizes.n_layers; ++layer) {
    const std::string prefix = "blocks." + std::to_string(layer) + ".";
    std::array<std::size_t, kLayerArrays> at_place{};
    for (const LayerArray &a : arrays) {
      at_place[a.place] = all.size();
      all.push_back({prefix + std::string(a.name), a.rows, a.cols, a.transposed, 0});
    }
    for (std::size_t place = 0; place < kLayerArrays; ++place) {
      all[at_place[place]].offset = offset;
      offset += all[at_place[place]].elements();
    }
  }
  for (const char *name : {"ln_f.weight", "ln_f.bias"}) {
    all.push_back({name, sizes.d_model, 0, false, offset});
    offset += sizes.d_model;
  }
  return all;
}

std::size_t first_non_finite(std::span<const float> values) {
  const auto bad = [](float v) { return !(std::fabs(v) <= std::numeric_limits<float>::max()); };
  // No early exit: this pass vectorises, and files are nearly always sound.
  unsigned found = 0;
  for (const float v : values) {
    found |= static_cast<unsigned>(bad(v));
  }
  if (found == 0) {
    return values.size();
  }
  std::size_t i = 0;
  while (!bad(values[i])) {
    ++i;
  }
  return i;
}

}  // namespace calm::cwgt
