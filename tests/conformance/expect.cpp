#include <calm/ops/matmul.h>

#include <cmath>
#include <sstream>

#include <calm/cpp/builder.hpp>

#include "core/graph/autodiff.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {

using graph::Slot;

namespace {

bool close(calm_dtype dtype, double got, Tracked want) {
  if (std::isnan(want.v)) {
    return std::isnan(got);
  }
  if (std::isinf(want.e)) {
    return std::isfinite(got);
  }
  return got == want.v || std::fabs(got - want.v) <= allowed(dtype, want.e);
}

std::string index_text(std::size_t flat, const Shape &shape) {
  std::string text = "]";
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    text.insert(0, (axis == 0 ? "[" : ", ") + std::to_string(flat % extent));
    flat /= extent;
  }
  return shape.empty() ? "[]" : text;
}

// Weights of output k in the loss, of either sign.
Array loss_weights(std::size_t k, const Shape &shape) { return draw(7000 + k, shape, -1, 1); }

double loss_of(const Case &c, Oracle oracle, const std::vector<std::uint32_t> &outs) {
  const Tensors results = oracle(c);
  double loss = 0;
  for (const std::uint32_t k : outs) {
    const Array weights = loss_weights(k, results[k].shape);
    for (std::size_t i = 0; i < weights.values.size(); ++i) {
      loss += weights.values[i] * results[k].values[i].v;
    }
  }
  return loss;
}

// f'(x) from x +- h and x +- 2h: (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12 h.
double difference(Case &c, Oracle oracle, const std::vector<std::uint32_t> &outs, double &element) {
  const double x = element;
  const auto at = [&](double steps) {
    element = x + steps * kStep;
    return loss_of(c, oracle, outs);
  };
  const double near = at(1) - at(-1);
  const double far = at(2) - at(-2);
  element = x;
  return (8 * near - far) / (12 * kStep);
}

}  // namespace

void expect_within(const Array &got, const Tensor &want, const std::string &what) {
  ASSERT_EQ(got.shape, want.shape) << what;
  std::size_t bad = 0;
  for (std::size_t i = 0; i < want.values.size(); ++i) {
    const Tracked &w = want.values[i];
    if (!close(got.dtype, got.values[i], w) && ++bad == 1) {
      ADD_FAILURE() << what << index_text(i, want.shape) << ": expected " << w.v << " within "
                    << allowed(got.dtype, w.e) << ", found " << got.values[i] << " (off by "
                    << got.values[i] - w.v << ")";
    }
  }
  if (bad > 1) {
    ADD_FAILURE() << what << ": " << bad << " of " << want.values.size() << " elements are off";
  }
}

void expect_oracle(Device &device, const Case &c, Oracle oracle) {
  SCOPED_TRACE(describe_case(c));
  exercised(Kind::kOracle, c.op, describe_case(c));
  const std::vector<Array> got = run(device, c);
  Tensors want = oracle(c);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (c.op == CALM_OP_MATMUL) {
      for (Tracked &value : want[k].values) {
        value.e *= operand_roundoffs();
      }
    }
    if (got[k].present) {
      expect_within(got[k], want[k], "output " + std::to_string(k));
    }
  }
}

void expect_values(const Array &got, const std::vector<double> &want, double magnitude) {
  ASSERT_EQ(got.values.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    const Tracked rounded(want[i], kFunctionError * std::fmax(std::fabs(want[i]), magnitude));
    EXPECT_TRUE(close(got.dtype, got.values[i], rounded))
        << index_text(i, got.shape) << ": expected " << want[i] << ", found " << got.values[i];
  }
}

void expect_gradient(Device &device, const Case &c, Oracle oracle,
                     const std::vector<std::uint32_t> &wrt,
                     const std::vector<std::uint32_t> &outs) {
  SCOPED_TRACE(describe_case(c));
  exercised(Kind::kGradient, c.op, describe_case(c));
  Case work = c;
  const Tensors results = oracle(work);
  const std::int64_t rows = c.ins[0].shape.empty() ? 1 : c.ins[0].shape[0];
  graph::ParamLayout layout;
  graph::Graph graph("gradient", {rows, 1, rows}, device.real(), layout, operator_lookup());
  const graph::GraphBuilder builder(graph);
  const Builder b = builder.face();

  // Operands to differentiate by are parameters, the others inputs.
  std::vector<Value> ins;
  std::vector<std::uint32_t> param_of(c.ins.size(), CALM_NONE);
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < c.ins.size(); ++i) {
    names.push_back("in" + std::to_string(i));
  }
  for (std::uint32_t i = 0; i < c.ins.size(); ++i) {
    const calm_type type = type_of(c.ins[i], device.real());
    if (!c.ins[i].present) {
      ins.emplace_back();
    } else if (std::count(wrt.begin(), wrt.end(), i) != 0) {
      calm_param param{};
      param.size = sizeof param;
      param.name = str(names[i]);
      param.type = type;
      param_of[i] = layout.declare(param);
      ins.push_back(graph.param(param));
    } else {
      ins.push_back(graph.input(names[i], type));
    }
  }
  layout.freeze();
  const std::vector<Value> results_in_graph = graph.emit(c.op, 1, ins, c.attrs);
  Value loss;
  for (const std::uint32_t k : outs) {
    const Array weights = loss_weights(k, results[k].shape);
    const Value w = graph.input("weights" + std::to_string(k), type_of(weights, device.real()));
    const Value part = b.op("sum", {b.op("mul", {results_in_graph[k], w})});
    loss = loss ? b.op("add", {loss, part}) : part;
  }
  const Value seed = graph.input("seed", type_of(real(1), device.real()));
  const std::vector<Value> gradients = graph::differentiate(graph, loss, seed);
  for (const std::uint32_t i : wrt) {
    ASSERT_TRUE(gradients[param_of[i]]) << "operand " << i << " has no gradient";
    // A product of its own: two operands may share one gradient.
    graph.output("grad" + std::to_string(i), b.op("mul", {gradients[param_of[i]], seed}));
  }
  graph.eliminate_dead_code();

  Prepared prepared(device, graph);
  for (std::uint32_t i = 0; i < c.ins.size(); ++i) {
    if (param_of[i] != CALM_NONE) {
      prepared.write(Slot::kWeights, layout.param(param_of[i]).offset * dtype_bytes(device.real()),
                     device.real(), c.ins[i]);
    } else if (c.ins[i].present) {
      prepared.set(Slot::kInput, names[i], c.ins[i]);
    }
  }
  for (const std::uint32_t k : outs) {
    prepared.set(Slot::kInput, "weights" + std::to_string(k), loss_weights(k, results[k].shape));
  }
  prepared.set(Slot::kInput, "seed", real(1));
  prepared.run();

  for (const std::uint32_t i : wrt) {
    const Array got = prepared.get(Slot::kOutput, "grad" + std::to_string(i));
    ASSERT_EQ(got.shape, c.ins[i].shape) << "gradient of operand " << i;
    for (std::size_t k = 0; k < got.values.size(); ++k) {
      const double want = difference(work, oracle, outs, work.ins[i].values[k]);
      ASSERT_NEAR(got.values[k], want, allowed_difference(want))
          << "gradient of operand " << i << index_text(k, got.shape);
    }
  }
}

}  // namespace calm::conformance
