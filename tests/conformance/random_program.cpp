#include "tests/conformance/random_program.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "core/graph/autodiff.hpp"
#include "core/graph/optimizer.hpp"

namespace calm::conformance {

using calm::type_of;
using graph::Slot;

namespace {

constexpr std::size_t kRuns = 2;
constexpr std::int64_t kIds = 11;
const std::int64_t kWidths[] = {3, 5, 8, 16, 17, 24, 33, 64, 70};

}  // namespace

// As many rows and sequences in each run, differently shared out.
std::vector<Ragged> RandomProgram::draw_batches(std::mt19937_64 &random) {
  const auto below = [&random](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  constexpr std::int64_t kLongest[] = {3, 20, 70, 200};
  constexpr std::int64_t kMost[] = {20, 90, 330};
  const std::int64_t rows = 1 + below(kMost[below(3)]);
  const std::int64_t sequences = 1 + below(12);
  std::vector<Ragged> batches(kRuns);
  for (Ragged &batch : batches) {
    std::int64_t left = rows;
    for (std::int64_t s = 0; s < sequences; ++s) {
      const std::int64_t length = std::min(left, below(5) == 0 ? 0 : below(kLongest[below(4)]));
      batch.lengths.push_back(length);
      left -= length;
    }
    batch.dead = left;
  }
  return batches;
}

RandomProgram::RandomProgram(std::uint64_t seed, Flavor flavor, calm_dtype real)
    : random_(seed),
      batches_(draw_batches(random_)),
      graph_("random", {batches_[0].rows(), batches_[0].sequences(), batches_[0].rows()}, real,
             layout_, operator_lookup()) {
  graph_.keep_state(flavor == Flavor::kStates, flavor == Flavor::kStates);
  offsets_ = graph_.input("offsets", type_of(CALM_I32, {batches_[0].sequences() + 1}));
  const std::int64_t first = width();
  keep({content(Slot::kInput, tokens(real, first), -2, 2), first});
  const std::int64_t second = width();
  keep({op("embedding",
           {content(Slot::kInput, tokens(CALM_I32), 0, kIds - 1), param({kIds, second}, -2, 2)}),
        second});
  const std::size_t operators = 4 + below(16);
  for (std::size_t i = 0; i < operators; ++i) {
    add_one();
  }
  if (flavor == Flavor::kStates) {
    add_states();
  }
  if (flavor == Flavor::kGradient) {
    add_loss();
  } else {
    layout_.freeze();
  }
  name_results();
  graph_.eliminate_dead_code();
  if (flavor == Flavor::kGradient && chance(40)) {
    graph_.recompute_activations();
  }
}

std::int64_t RandomProgram::width() { return kWidths[below(std::size(kWidths))]; }

calm_type RandomProgram::tokens(calm_dtype dtype, std::int64_t width) const {
  const std::int64_t rows = graph_.bucket().tokens;
  return width == 0 ? type_of(dtype, {rows}, CALM_AXIS_TOKENS)
                    : type_of(dtype, {rows, width}, CALM_AXIS_TOKENS);
}

Value RandomProgram::content(Slot slot, calm_type type, double low, double high) {
  const std::string name = "content" + std::to_string(contents_.size());
  contents_.push_back({slot, name, type, low, high});
  return slot == Slot::kInput ? graph_.input(name, type) : graph_.stored(name, slot, type);
}

Value RandomProgram::param(std::initializer_list<std::int64_t> shape, double low, double high) {
  const std::string name = "content" + std::to_string(contents_.size());
  calm_param param{};
  param.size = sizeof param;
  param.decay = static_cast<std::uint32_t>(shape.size() - 1);
  param.name = str(name);
  param.type = type_of(graph_.real(), shape);
  contents_.push_back({Slot::kWeights, name, param.type, low, high});
  return graph_.param(param);
}

Value RandomProgram::scalar(double x) {
  const auto narrow = static_cast<float>(x);
  const double wide = narrow;
  return graph_.constant(type_of(graph_.real(), {}), graph_.real() == CALM_F32
                                                         ? static_cast<const void *>(&narrow)
                                                         : static_cast<const void *>(&wide));
}

/// A parameter, or a sum over rows.
Value RandomProgram::vector(std::int64_t width) {
  std::vector<Value> known;
  for (const Sum &sum : sums_) {
    if (sum.width == width) {
      known.push_back(sum.value);
    }
  }
  return !known.empty() && chance(70) ? known[below(known.size())] : param({width}, -1, 1);
}

RandomProgram::Rows RandomProgram::any(std::int64_t width) {
  std::vector<Rows> fitting;
  for (const Rows &rows : rows_) {
    if (rows.width == width) {
      fitting.push_back(rows);
    }
  }
  return !fitting.empty() && chance(60) ? fitting[below(fitting.size())] : product(any(), width);
}

RandomProgram::Rows RandomProgram::product(const Rows &of, std::int64_t width) {
  const double size = 1.5 / std::sqrt(static_cast<double>(of.width));
  const bool transposed = chance(50);
  const Value by =
      transposed ? param({width, of.width}, -size, size) : param({of.width, width}, -size, size);
  return {op("matmul", {of.value, by}, {value("transpose_b", transposed)}), width, of.zero};
}

/// Within [-1, 1] or a few times that.
RandomProgram::Rows RandomProgram::bounded(const Rows &rows) {
  return chance(70) ? Rows{op("tanh", {rows.value}), rows.width, rows.zero}
                    : Rows{op("mul", {rows.value, scalar(0.25)}), rows.width, rows.zero};
}

void RandomProgram::add_unary() {
  const char *const kOps[] = {"gelu", "silu", "softplus", "sigmoid", "tanh", "neg", "square"};
  const std::size_t which = below(std::size(kOps));
  const Rows x = any();
  const Rows y{op(kOps[which], {x.value}), x.width, x.zero && which != 2 && which != 3};
  keep(which == 6 ? bounded(y) : y);
}

void RandomProgram::add_binary() {
  const char *const kOps[] = {"add", "sub", "mul", "div"};
  const std::size_t which = below(std::size(kOps));
  const Rows a = any();
  if (which == 3) {
    const Value by = op("softplus", {chance(50) ? any(a.width).value : vector(a.width)});
    keep({op("div", {a.value, op("add", {by, scalar(0.5)})}), a.width, a.zero});
    keep(bounded(rows_.back()));
  } else if (chance(60)) {
    const Rows b = any(a.width);
    const bool zero = which == 2 ? a.zero || b.zero : a.zero && b.zero;
    keep(bounded({op(kOps[which], {a.value, b.value}), a.width, zero}));
  } else {
    const Value b = chance(80) ? vector(a.width) : scalar(0.75);
    keep({op(kOps[which], {a.value, b}), a.width, a.zero && which == 2});
  }
}

/// Followed by what a backend may merge with it.
void RandomProgram::add_product() {
  const Rows y = product(any(), width());
  switch (below(4)) {
    case 0:
      keep({op("gelu", {y.value}), y.width, y.zero});
      break;
    case 1:
      keep({op("softplus", {op("add", {y.value, vector(y.width)})}), y.width, false});
      break;
    case 2: {
      std::vector<Rows> fitting{y};
      std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(fitting),
                   [&](const Rows &rows) { return rows.width == y.width; });
      const Rows &more = fitting[below(fitting.size())];
      const bool first = chance(50);
      keep({op("add", {first ? y.value : more.value, first ? more.value : y.value}), y.width,
            y.zero && more.zero});
      break;
    }
    default:
      break;
  }
  if (chance(30)) {
    keep(y);
  }
}

void RandomProgram::add_norm() {
  const Rows x = any();
  // A spread of its own, so that no row's variance is tiny.
  const Value spread = op("add", {op("tanh", {x.value}), param({x.width}, -2, 2)});
  keep({op("layer_norm", {spread, param({x.width}, -1, 1), param({x.width}, -1, 1)}), x.width});
}

void RandomProgram::add_split() {
  const Rows x = any();
  std::vector<std::int64_t> sizes;
  std::int64_t left = x.width;
  while (left > 0 && sizes.size() < 3) {
    const auto size = 1 + static_cast<std::int64_t>(below(static_cast<std::size_t>(left)));
    sizes.push_back(size);
    left -= size;
  }
  if (left > 0) {
    sizes.push_back(left);
  }
  const char *const kNames[] = {"size0", "size1", "size2", "size3"};
  std::vector<calm_value> attrs;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    attrs.push_back(value(kNames[i], sizes[i]));
  }
  const std::vector<Value> parts = emit("split", {x.value}, attrs);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (chance(70)) {
      keep({parts[i], sizes[i], x.zero});
    }
  }
}

void RandomProgram::add_concat() {
  const std::size_t n = 1 + below(4);
  std::vector<Value> ins;
  Rows out{{}, 0, true};
  for (std::size_t i = 0; i < n; ++i) {
    const Rows x = chance(50) ? any() : bounded(any());
    ins.push_back(x.value);
    out.width += x.width;
    out.zero = out.zero && x.zero;
  }
  out.value = op("concat", ins);
  keep(out.width > 200 ? product(out, width()) : out);
}

void RandomProgram::add_gate() {
  const Rows y = any();
  const Rows z = any(y.width);
  keep(bounded({op("gated_silu", {y.value, z.value}), y.width, y.zero || z.zero}));
}

/// Of the sequences: absent where the program keeps none.
RandomProgram::State RandomProgram::state_of(std::initializer_list<std::int64_t> shape) {
  State state{"content" + std::to_string(contents_.size()), {}};
  state.in = graph_.state_in(state.name, graph_.real(), shape.begin(),
                             static_cast<std::uint32_t>(shape.size()));
  if (state.in) {
    contents_.push_back({Slot::kState, state.name, graph_.tensor(state.in).type, -1, 1});
  }
  return state;
}

void RandomProgram::add_conv() {
  const Rows x = any();
  const auto taps = 1 + static_cast<std::int64_t>(below(4));
  const State state = state_of({x.width, taps});
  const std::vector<Value> out =
      emit("causal_conv_silu", {x.value, param({x.width, taps}, -0.7, 0.7), offsets_, state.in});
  graph_.state_out(state.name, out[1]);
  keep({out[0], x.width, true});
}

void RandomProgram::add_scan() {
  const Rows x = any();
  const std::int64_t n = chance(50) ? 16 : 1 + static_cast<std::int64_t>(below(9));
  const Rows before = any(x.width);
  const Value delta = op("softplus", {op("tanh", {before.value})});
  const Rows b = bounded(any(n));
  const Rows c = bounded(any(n));
  const State state = state_of({x.width, n});
  const std::vector<Value> out =
      emit("selective_scan", {op("tanh", {x.value}), delta, param({x.width, n}, -3, -0.5), b.value,
                              c.value, param({x.width}, -1, 1), offsets_, state.in});
  graph_.state_out(state.name, out[2]);
  keep({out[0], x.width, true});
}

RandomProgram::Rows RandomProgram::masked() {
  std::vector<Rows> zero;
  std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(zero),
               [](const Rows &rows) { return rows.zero; });
  if (zero.empty()) {
    add_conv();
    return rows_.back();
  }
  return zero[below(zero.size())];
}

/// Over rows of which the dead ones are 0: others a backend may skip.
void RandomProgram::add_sum_of_rows() {
  const Rows x = masked();
  const Value sum = op("sum", {x.value}, {value("axis", 0)});
  sums_.push_back({op("tanh", {op("mul", {sum, scalar(0.125)})}), x.width});
  others_.push_back(sums_.back().value);
}

void RandomProgram::add_sum_of_columns() {
  const Rows x = any();
  const Value sum = op("sum", {x.value}, {value("axis", 1)});
  const Rows like = any();
  keep(bounded(
      {op("broadcast", {op("tanh", {sum}), like.value}, {value("axis", 1)}), like.width, x.zero}));
}

/// The product is a matrix that later products multiply by.
void RandomProgram::add_product_over_rows() {
  const Rows a = masked();
  const Rows b = bounded(any());
  const Value sum = op("matmul", {a.value, b.value}, {value("transpose_a", true)});
  const double size = 0.5 / static_cast<double>(b.width);
  const Value matrix = op("mul", {op("tanh", {op("mul", {sum, scalar(0.1)})}), scalar(size)});
  others_.push_back(matrix);
  const Rows x = any(a.width);
  keep({op("matmul", {x.value, matrix}), b.width, x.zero});
}

/// Rows of sequences, and products of those.
void RandomProgram::add_pool() {
  const Rows x = any();
  const Value pooled = op("pool", {x.value, offsets_}, {value("mode", below(2) == 0 ? 0 : 1)});
  const Rows y = product({pooled, x.width}, width());
  others_.push_back(chance(50) ? op("gelu", {y.value}) : y.value);
}

void RandomProgram::add_one() {
  using Add = void (RandomProgram::*)();
  using R = RandomProgram;
  static constexpr Add kAdd[] = {&R::add_unary,
                                 &R::add_unary,
                                 &R::add_binary,
                                 &R::add_binary,
                                 &R::add_product,
                                 &R::add_product,
                                 &R::add_norm,
                                 &R::add_split,
                                 &R::add_split,
                                 &R::add_concat,
                                 &R::add_concat,
                                 &R::add_gate,
                                 &R::add_conv,
                                 &R::add_scan,
                                 &R::add_sum_of_rows,
                                 &R::add_sum_of_columns,
                                 &R::add_product_over_rows,
                                 &R::add_pool};
  (this->*kAdd[below(std::size(kAdd))])();
}

/// Stored rows that go through the program and are overwritten by what came out, of tokens and of
/// sequences, each in a way of its own.
void RandomProgram::add_states() {
  for (const bool sequences : {false, true}) {
    const std::int64_t n = width();
    const calm_type type =
        sequences ? type_of(graph_.real(), {graph_.bucket().sequences, n}, CALM_AXIS_SEQUENCES)
                  : tokens(graph_.real(), n);
    const Rows old{content(Slot::kState, type, -1, 1), n};
    others_.push_back(op("square", {old.value}));
    Value next;
    switch (below(5)) {
      case 0:
        next = op("add", {old.value, product(old, n).value});
        break;
      case 1:
        next = op("gelu", {product(old, n).value});
        break;
      case 2:
        next = op("softplus", {op("add", {product(old, n).value, param({n}, -1, 1)})});
        break;
      case 3:
        next = op("mul", {old.value, sequences ? old.value : any(n).value});
        break;
      default:
        next = op("neg", {product(old, n).value});
        break;
    }
    const Value after = op("tanh", {next});
    graph_.update(next, old.value);
    others_.push_back(after);
  }
}

void RandomProgram::add_loss() {
  Value loss;
  const auto add = [&](Value part) { loss = loss ? op("add", {loss, part}) : part; };
  const Rows logits = any();
  add(emit("cross_entropy", {logits.value, content(Slot::kInput, tokens(CALM_I32), -1,
                                                   static_cast<double>(logits.width - 1))})
          .front());
  for (std::size_t i = 0; i < 3; ++i) {
    const Rows x = masked();
    const Value weights = content(Slot::kInput, tokens(graph_.real(), x.width), -1, 1);
    add(op("sum", {op("mul", {x.value, weights})}, {value("axis", -1)}));
  }
  for (const Value other : others_) {
    add(op("mul", {op("sum", {other}, {value("axis", -1)}), scalar(0.5)}));
  }
  others_.push_back(loss);
  layout_.freeze();
  const std::vector<Value> gradients = graph::differentiate(graph_, loss, scalar(0.5));
  if (chance(50)) {
    graph::accumulate_gradients(graph_, gradients);
    for (std::uint32_t i = 0; i < gradients.size(); ++i) {
      names_.push_back("gradient of " + layout_.param(i).name);
      slots_.push_back(Slot::kGrads);
      gradients_.push_back(i);
    }
  } else {
    for (const Value gradient : gradients) {
      if (gradient) {
        others_.push_back(op("mul", {gradient, scalar(1)}));
      }
    }
  }
}

void RandomProgram::name_results() {
  const auto name = [&](Value v) {
    if (graph_.tensor(v).role != CALM_ROLE_TEMP) {
      return;
    }
    names_.push_back("result" + std::to_string(names_.size()));
    slots_.push_back(Slot::kOutput);
    gradients_.push_back(CALM_NONE);
    graph_.output(names_.back(), v);
  };
  for (const Value other : others_) {
    name(other);
  }
  for (const Rows &rows : rows_) {
    if (chance(40)) {
      name(rows.value);
    }
  }
  name(rows_.back().value);
  for (const Content &c : contents_) {
    if (c.slot == Slot::kState) {
      names_.push_back(c.name);
      slots_.push_back(Slot::kState);
      gradients_.push_back(CALM_NONE);
    }
  }
}

void RandomProgram::fill(Prepared &prepared, std::uint64_t run) const {
  const auto live = static_cast<std::size_t>(batches_[run].live());
  prepared.set(Slot::kInput, "offsets", batches_[run].offsets());
  for (std::size_t i = 0; i < contents_.size(); ++i) {
    const Content &c = contents_[i];
    Shape shape(c.type.shape, c.type.shape + c.type.rank);
    Array array = draw(1000 * run + i, shape, c.low, c.high);
    array.axis0 = c.type.axis0;
    if (c.type.dtype == CALM_I32) {
      array.dtype = CALM_I32;
      for (std::size_t t = 0; t < array.values.size(); ++t) {
        array.values[t] = t < live ? std::round(array.values[t]) : c.low;
      }
    }
    if (c.slot != Slot::kWeights) {
      prepared.set(c.slot, c.name, array);
      continue;
    }
    const std::uint32_t number = layout_.find(c.name);
    prepared.write(Slot::kWeights, layout_.param(number).offset * dtype_bytes(graph_.real()),
                   graph_.real(), array);
  }
  prepared.step().set_integer("first", 1);
}

std::vector<Array> RandomProgram::results(const Prepared &prepared, std::uint64_t run) const {
  std::vector<Array> all;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (gradients_[i] != CALM_NONE) {
      const graph::Param &param = layout_.param(gradients_[i]);
      all.push_back(
          prepared.read(slots_[i], param.offset * dtype_bytes(graph_.real()), param.type));
      continue;
    }
    Array result = prepared.get(slots_[i], names_[i]);
    if (result.axis0 == CALM_AXIS_TOKENS) {
      const std::size_t width = result.values.size() / static_cast<std::size_t>(result.shape[0]);
      result.shape[0] = batches_[run].live();
      result.values.resize(width * static_cast<std::size_t>(result.shape[0]));
    }
    all.push_back(std::move(result));
  }
  return all;
}

}  // namespace calm::conformance
