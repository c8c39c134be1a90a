#pragma once

#include <calm/random.h>
#include <calm/tensor.h>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/value.hpp>

#include "tests/conformance/oracle/tracked.hpp"

// What a conformance test says about one use of an operator, apart from any backend.
namespace calm::conformance {

using Shape = std::vector<std::int64_t>;

/// In place of a dtype: the real dtype under test.
inline constexpr calm_dtype kReal = 0;

inline std::size_t count(const Shape &shape) {
  std::size_t n = 1;
  for (const std::int64_t extent : shape) {
    n *= static_cast<std::size_t>(extent);
  }
  return n;
}

/// A tensor on the host; values of every dtype are held as doubles.
struct Array {
  calm_dtype dtype = kReal;
  Shape shape;
  std::vector<double> values;
  calm_axis axis0 = CALM_AXIS_NONE;
  bool present = true;
};

inline Array real(Shape shape, std::vector<double> values) {
  return {kReal, std::move(shape), std::move(values)};
}
inline Array real(double scalar) { return {kReal, {}, {scalar}}; }
inline Array i32(std::vector<double> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return {CALM_I32, {n}, std::move(values)};
}
inline Array scalar_i32(double value) { return {CALM_I32, {}, {value}}; }
inline Array scalar_i64(double value) { return {CALM_I64, {}, {value}}; }
inline Array absent() { return {kReal, {}, {}, CALM_AXIS_NONE, false}; }
inline Array tokens(Array array) {
  array.axis0 = CALM_AXIS_TOKENS;
  return array;
}

/// One use of an operator.
struct Case {
  std::string op;
  std::vector<Array> ins;
  std::vector<calm_value> attrs = {};  // names are literals
  /// Output `first` overwrites the storage of operand `second`.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> updates = {};
  /// Outputs asked for; empty: all of them.
  std::vector<std::uint32_t> only = {};

  double attr(std::string_view name) const {
    const calm_value &found = find(attrs, name);
    return found.type == CALM_VALUE_F64 ? found.f64 : static_cast<double>(found.i64);
  }
  bool has(std::size_t i) const { return i < ins.size() && ins[i].present; }
};

/// What an oracle answers: values with error bounds.
struct Tensor {
  Shape shape;
  std::vector<Tracked> values;

  explicit Tensor(Shape extents) : shape(std::move(extents)), values(count(shape)) {}
  // A template, so that a braced shape is never taken for an Array.
  template <class Source>
  requires std::same_as<Source, Array>
  explicit Tensor(const Source &array)
      : shape(array.shape), values(array.values.begin(), array.values.end()) {}
  std::size_t dim(std::size_t axis) const { return static_cast<std::size_t>(shape[axis]); }
  Tracked &operator()(std::size_t i) { return values[i]; }
  Tracked &operator()(std::size_t i, std::size_t j) { return values[i * dim(1) + j]; }
  Tracked &operator()(std::size_t i, std::size_t j, std::size_t k) {
    return values[(i * dim(1) + j) * dim(2) + k];
  }
};

using Tensors = std::vector<Tensor>;
using Oracle = Tensors (*)(const Case &);

/// Any finite value will do.
inline Tracked anything() { return {0, std::numeric_limits<double>::infinity()}; }

/// The values of an oracle's answer as an operand.
inline Array array(const Tensor &tensor) {
  Array out{kReal, tensor.shape, {}};
  for (const Tracked &t : tensor.values) {
    out.values.push_back(t.v);
  }
  return out;
}

/// Draws in [low, high], multiples of 1/256: every real dtype holds them exactly.
inline Array draw(std::uint64_t seed, Shape shape, double low = -2, double high = 2) {
  Array out{kReal, std::move(shape), {}};
  for (std::uint32_t i = 0; i < count(out.shape); ++i) {
    const double u = static_cast<double>(calm_uniform(calm_philox(seed, i, 0, 0, 0).word[0]));
    out.values.push_back(std::round((low + (high - low) * u) * 256) / 256);
  }
  return out;
}

/// Lengths of the sequences of a packed batch and dead rows behind them.
struct Ragged {
  std::vector<std::int64_t> lengths;
  std::int64_t dead = 0;

  std::int64_t live() const {
    return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  }
  std::int64_t rows() const { return live() + dead; }
  std::int64_t sequences() const { return static_cast<std::int64_t>(lengths.size()); }
  Array offsets() const {
    std::vector<double> out{0};
    for (const std::int64_t length : lengths) {
      out.push_back(out.back() + static_cast<double>(length));
    }
    return i32(out);
  }
};

/// Batches that break loops: empty and single-row sequences, dead tails, 64-row chunk boundaries at
/// the start, inside and at the end of sequences.
inline std::vector<Ragged> awkward_batches() {
  return {{{1}},
          {{2}, 1},
          {{3, 0, 1}},
          {{5, 7, 17}, 3},
          {{63}},
          {{64}},
          {{65}},
          {{129}},
          {{0, 64, 64, 1}, 7},
          {{64, 0, 65, 63}},
          {{0, 0, 0}, 5},
          {{1, 1, 1, 1, 1}},
          {{63, 2, 63}, 64},
          {{0, 130, 0}, 2}};
}

/// The rows of sequence s: [begin, end).
inline std::pair<std::size_t, std::size_t> sequence(const Array &offsets, std::size_t s) {
  return {static_cast<std::size_t>(offsets.values[s]),
          static_cast<std::size_t>(offsets.values[s + 1])};
}

/// Row gradients: zero in dead rows, as everywhere (program rule 3).
inline Array draw_grad(std::uint64_t seed, const Ragged &batch, std::int64_t columns) {
  Array out = draw(seed, {batch.rows(), columns}, -1, 1);
  for (auto i = static_cast<std::size_t>(batch.live() * columns); i < out.values.size(); ++i) {
    out.values[i] = 0;
  }
  return tokens(out);
}

}  // namespace calm::conformance
