#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/graph/params.hpp"
#include "tests/conformance/case.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {

enum class Flavor {
  kForward,   ///< values over tokens, sums of them, and what is made of the sums
  kStates,    ///< the same with decode states, and rows kept from run to run
  kGradient,  ///< a loss, and its gradient for every parameter
};

/// A well-conditioned program of some dozen operators, drawn from a seed. It shows what operators
/// alone cannot: parts of tensors as operands, results that several want, sums that are used later,
/// sequences of any length beside each other. The same seed gives the same program in every dtype.
class RandomProgram {
 public:
  RandomProgram(std::uint64_t seed, Flavor flavor, calm_dtype real);
  RandomProgram(const RandomProgram &) = delete;
  RandomProgram &operator=(const RandomProgram &) = delete;

  const graph::Graph &graph() const { return graph_; }
  /// Writes inputs, parameters and states; another `run` has other contents, other sequences too.
  void fill(Prepared &prepared, std::uint64_t run) const;
  /// All that a run leaves, without dead rows, in the order of names().
  std::vector<Array> results(const Prepared &prepared, std::uint64_t run) const;
  const std::vector<std::string> &names() const { return names_; }

 private:
  struct Rows {  ///< [tokens, width]
    Value value;
    std::int64_t width = 0;
    bool zero = false;  ///< in dead rows
  };
  struct Content {
    graph::Slot slot;
    std::string name;
    calm_type type;
    double low, high;
  };
  struct Sum {  ///< [width], of order one
    Value value;
    std::int64_t width = 0;
  };
  struct State {
    std::string name;
    Value in;
  };

  static std::vector<Ragged> draw_batches(std::mt19937_64 &random);
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  bool chance(std::size_t percent) { return below(100) < percent; }
  std::int64_t width();

  std::vector<Value> emit(std::string_view name, const std::vector<Value> &ins,
                          const std::vector<calm_value> &attrs = {}) {
    return graph_.emit(name, 1, ins, attrs);
  }
  Value op(std::string_view name, const std::vector<Value> &ins,
           const std::vector<calm_value> &attrs = {}) {
    return emit(name, ins, attrs).front();
  }
  Value content(graph::Slot slot, calm_type type, double low, double high);
  Value param(std::initializer_list<std::int64_t> shape, double low, double high);
  Value scalar(double x);
  Value vector(std::int64_t width);
  calm_type tokens(calm_dtype dtype, std::int64_t width = 0) const;
  /// The latest more often: chains, not only a broad tree.
  Rows any() { return chance(50) ? rows_.back() : rows_[below(rows_.size())]; }
  Rows any(std::int64_t width);
  Rows product(const Rows &of, std::int64_t width);
  Rows bounded(const Rows &rows);
  Rows masked();
  State state_of(std::initializer_list<std::int64_t> shape);
  void keep(const Rows &rows) { rows_.push_back(rows); }

  void add_unary();
  void add_binary();
  void add_product();
  void add_norm();
  void add_split();
  void add_concat();
  void add_gate();
  void add_conv();
  void add_scan();
  void add_sum_of_rows();
  void add_sum_of_columns();
  void add_product_over_rows();
  void add_pool();
  void add_one();
  void add_states();
  void add_loss();
  void name_results();

  std::mt19937_64 random_;
  std::vector<Ragged> batches_;
  graph::ParamLayout layout_;
  graph::Graph graph_;
  Value offsets_;
  std::vector<Content> contents_;
  std::vector<Rows> rows_;
  std::vector<Sum> sums_;
  std::vector<Value> others_;  ///< results that are not rows
  std::vector<std::string> names_;
  std::vector<graph::Slot> slots_;        ///< by result
  std::vector<std::uint32_t> gradients_;  ///< parameter by result, CALM_NONE
};

}  // namespace calm::conformance
