#pragma once

#include <calm/random.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/conformance/case.hpp"

// Random draws (program rule 11) and sampling (spec D.1, D.2).
namespace calm::conformance::oracle {

/// Words of the block that holds lane `lane` of a row.
inline calm_philox4 block(const Case &c, std::uint32_t stream, std::size_t row, std::size_t lane) {
  const auto word = [](double value) {
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(value));
  };
  return calm_philox(static_cast<std::uint64_t>(static_cast<std::int64_t>(c.ins[1].values[0])),
                     static_cast<std::uint32_t>(lane / 4),
                     static_cast<std::uint32_t>(row) + word(c.ins[2].values[0]),
                     word(c.ins[3].values[0]), stream);
}

inline Tensors random(const Case &c) {
  const Array &like = c.ins[0];
  if (c.has(4)) {
    return {Tensor(c.ins[4])};
  }
  const bool normal = c.op == "random_normal";
  auto stream = static_cast<std::uint32_t>(c.attr("stream"));
  if (stream == 0) {
    stream = calm_stream_id(str(c.op));  // the origin of the node PreparedCase makes
  }
  Tensor out(like.shape);
  const std::size_t lanes = count(like.shape) / static_cast<std::size_t>(like.shape[0]);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const std::size_t lane = i % lanes;
    const calm_philox4 w = block(c, stream, i / lanes, lane);
    if (!normal) {
      out(i) = static_cast<double>(calm_uniform(w.word[lane % 4]));
      continue;
    }
    const std::size_t pair = lane % 4 / 2 * 2;
    const double u1 = ((w.word[pair] >> 8) + 1) * 0x1p-24;
    const double u2 = (w.word[pair + 1] >> 8) * 0x1p-24;
    const double angle = 2 * M_PI * u2;
    out(i) = std::sqrt(-2 * std::log(u1)) * (lane % 2 == 0 ? std::cos(angle) : std::sin(angle));
  }
  return {out};
}

// One row of spec D.1: the probabilities kept, or nothing where the choice is greedy.
inline std::vector<double> kept(const std::vector<double> &logits, double temperature, double top_k,
                                double top_p, double min_p) {
  if (temperature <= 0 || (top_k <= 0 && top_p <= 0 && min_p <= 0)) {
    return {};
  }
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double total = 0;
  for (const double x : logits) {
    p.push_back(std::exp((x - top) / temperature));
    total += p.back();
  }
  for (double &x : p) {
    x /= total;
  }
  if (min_p > 0) {
    const double floor = min_p * *std::max_element(p.begin(), p.end());
    for (double &x : p) {
      x = x < floor ? 0 : x;
    }
  }
  if (top_k > 0) {
    std::vector<double> sorted = p;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const double cutoff = sorted[std::min(static_cast<std::size_t>(top_k), p.size()) - 1];
    for (double &x : p) {
      x = x < cutoff ? 0 : x;
    }
  }
  if (top_p > 0) {
    std::vector<std::size_t> order(p.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      order[i] = i;
    }
    std::stable_sort(order.begin(), order.end(),
                     [&p](std::size_t a, std::size_t b) { return p[a] > p[b]; });
    double before = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
      const double x = p[order[rank]];
      if (rank > 0 && before > top_p) {
        p[order[rank]] = 0;
      }
      before += x;
    }
  }
  return p;
}

inline std::size_t choose(const std::vector<double> &logits, const std::vector<double> &p,
                          double u) {
  double total = 0;
  for (const double x : p) {
    total += x;
  }
  if (total <= 0) {
    return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) -
                                    logits.begin());
  }
  double running = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    running += p[i];
    last = p[i] > 0 ? i : last;
    if (running > u * total) {
      return i;
    }
  }
  return last;
}

inline Tensors sample(const Case &c) {
  Tensor logits(c.ins[0]);
  const double temperature = c.ins[1].values[0];
  Tensor ids({logits.shape[0]});
  Tensor scores({logits.shape[0]});
  for (std::size_t s = 0; s < logits.dim(0); ++s) {
    std::vector<double> row;
    for (std::size_t v = 0; v < logits.dim(1); ++v) {
      row.push_back(logits(s, v).v);
    }
    const calm_philox4 w =
        calm_philox(static_cast<std::uint64_t>(static_cast<std::int64_t>(c.ins[5].values[0])), 0,
                    static_cast<std::uint32_t>(s),
                    static_cast<std::uint32_t>(static_cast<std::int64_t>(c.ins[6].values[0])),
                    CALM_STREAM_SAMPLE);
    const double u = c.has(7) ? c.ins[7].values[s] : static_cast<double>(calm_uniform(w.word[0]));
    const std::size_t id = choose(
        row, kept(row, temperature, c.ins[2].values[0], c.ins[3].values[0], c.ins[4].values[0]), u);
    ids(s) = static_cast<double>(id);
    const Tracked scale = temperature > 0 ? temperature : 1;
    Tracked top = Tracked(*std::max_element(row.begin(), row.end())) / scale;
    Sum total;
    for (const double x : row) {
      total.add(exp(Tracked(x) / scale - top));
    }
    scores(s) = Tracked(row[id]) / scale - (top + log(total.result()));
  }
  return {ids, scores};
}

}  // namespace calm::conformance::oracle
