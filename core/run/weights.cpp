#include "core/run/weights.hpp"

#include <algorithm>
#include <cmath>

#include <calm/random.h>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm::run {

namespace {

// Two normals of a Philox block half (Box–Muller, program rule 11).
float normal(const calm_philox4 &block, std::size_t lane) {
  const std::size_t pair = lane / 2 * 2;
  const float u1 = static_cast<float>((block.word[pair] >> 8) + 1) * 0x1p-24F;
  const float u2 = calm_uniform(block.word[pair + 1]);
  const float radius = std::sqrt(-2.0F * std::log(u1));
  const float angle = 6.28318530717958647692F * u2;
  return radius * (lane % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

void draw(const graph::Param &param, std::uint64_t seed, std::uint32_t stream,
          std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const calm_philox4 block = calm_philox(seed, static_cast<std::uint32_t>(i / 4), 0, 0, stream);
    const double unit = param.init == CALM_INIT_NORMAL
                            ? static_cast<double>(normal(block, i % 4))
                            : static_cast<double>(calm_uniform(block.word[i % 4]));
    out[i] = static_cast<float>(param.init == CALM_INIT_NORMAL
                                    ? param.args[0] + param.args[1] * unit
                                    : param.args[0] + (param.args[1] - param.args[0]) * unit);
  }
}

}  // namespace

std::span<float> Weights::of(std::uint32_t param) {
  const graph::Param &p = layout_->param(param);
  return std::span(values_).subspan(p.offset, static_cast<std::size_t>(elements(p.type)));
}

std::span<const float> Weights::of(std::uint32_t param) const {
  const graph::Param &p = layout_->param(param);
  return std::span(values_).subspan(p.offset, static_cast<std::size_t>(elements(p.type)));
}

void Weights::initialise(std::uint64_t seed) {
  for (std::uint32_t i = 0; i < layout_->params().size(); ++i) {
    const graph::Param &param = layout_->param(i);
    const std::span<float> out = of(i);
    const std::uint32_t stream = calm_stream_id(str(param.name));
    switch (param.init) {
      case CALM_INIT_ZEROS:
        std::fill(out.begin(), out.end(), 0.0F);
        break;
      case CALM_INIT_ONES:
        std::fill(out.begin(), out.end(), 1.0F);
        break;
      case CALM_INIT_CALLBACK:
        param.fill(param.args, seed, stream, out.size(), &param.type, out.data());
        break;
      default:
        draw(param, seed, stream, out);
    }
  }
}

void Weights::write_to(Buffer &buffer, calm_dtype real) const {
  if (real == CALM_F32) {
    buffer.write(0, values_.data(), values_.size() * sizeof(float));
    return;
  }
  const std::vector<double> wide(values_.begin(), values_.end());
  buffer.write(0, wide.data(), wide.size() * sizeof(double));
}

void Weights::read_from(const Buffer &buffer, calm_dtype real) {
  if (real == CALM_F32) {
    buffer.read(0, values_.data(), values_.size() * sizeof(float));
    return;
  }
  std::vector<double> wide(values_.size());
  buffer.read(0, wide.data(), wide.size() * sizeof(double));
  std::transform(wide.begin(), wide.end(), values_.begin(),
                 [](double v) { return static_cast<float>(v); });
}

bool Weights::finite() const {
  return std::all_of(values_.begin(), values_.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace calm::run
