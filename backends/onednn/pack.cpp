#include "onednn/pack.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace calm::onednn {
namespace {

/// Element (k, n) of op(b).
struct Source {
  const float *b;
  std::size_t k_step, n_step;
  float at(std::size_t k, std::size_t n) const { return b[k * k_step + n * n_step]; }
};

/// Rounds to the nearest, ties to even; NaN stays NaN.
std::uint16_t bf16_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  }
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

/// The upper half of a float whose lower half is `low`: the float nearest to x.
std::uint16_t upper_half_of(float x, std::uint16_t low) {
  if (!std::isfinite(x)) {
    return bf16_of(x);
  }
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t size = bits & 0x7fffffffU;
  std::uint32_t half = size < low ? 0 : (size - low) >> 16;
  const auto below = std::bit_cast<float>(half << 16 | low);
  const auto above = std::bit_cast<float>((half + 1) << 16 | low);  // perhaps not finite
  half += above - std::fabs(x) < std::fabs(x) - below ? 1U : 0U;
  // Not 0 above other bits, which would be a number below the smallest normal one: those are slow.
  half = std::max<std::uint32_t>(half, low == 0 ? 0U : 0x80U);
  return static_cast<std::uint16_t>(bits >> 31 << 15 | half);
}

/// Columns [n, n + columns) of one panel, zeros up to its width.
/// kDepth rows of the sum lie side by side; `convert` also sees what lies before its element there.
template <std::size_t kDepth, class Element, class Convert>
void pack_panel(const Source &source, std::size_t depth, std::size_t n, std::size_t columns,
                std::size_t width, Element *panel, Convert convert) {
  // In blocks of k, so that columns stored one after another are read in whole cache lines.
  constexpr std::size_t kBlock = 16;
  for (std::size_t k0 = 0; k0 < depth; k0 += kBlock) {
    const std::size_t k1 = std::min(k0 + kBlock, depth);
    for (std::size_t j = 0; j < width; ++j) {
      for (std::size_t k = k0; k < k1; ++k) {
        const std::size_t at = (k / kDepth * width + j) * kDepth + k % kDepth;
        const Element *const before = k % kDepth == 0 ? nullptr : panel + at - 1;
        panel[at] = j < columns ? convert(source.at(k, n + j), n + j, before) : Element{0};
      }
    }
  }
}

void set_scales(const PackShape &shape, const Source &source, std::size_t first, std::size_t last,
                float *scales) {
  for (std::size_t n = first; n < last; ++n) {
    float most = 0;
    for (std::size_t k = 0; k < shape.k; ++k) {
      const float size = std::fabs(source.at(k, n));
      most = size <= most || std::isnan(most) ? most : size;
    }
    scales[n] = most / 127.0F;
  }
  if (last == shape.n) {
    std::fill(scales + last, scales + shape.scale_bytes() / sizeof(float), 0.0F);
  }
}

}  // namespace

std::size_t PackShape::bytes() const {
  const std::size_t element = type == WeightType::kF32 ? 4 : type == WeightType::kBf16 ? 2 : 1;
  return scale_bytes() + (k + kBf16Depth - 1) * padded() * element + kSlack;
}

void pack(const PackShape &shape, const float *b, std::size_t first, std::size_t last,
          std::byte *packed) {
  const Source source{b, shape.transposed ? 1 : shape.n, shape.transposed ? shape.k : 1};
  auto *const scales = reinterpret_cast<float *>(packed);
  if (shape.type == WeightType::kInt8) {
    set_scales(shape, source, first, last, scales);
  }
  std::byte *const panels = packed + shape.scale_bytes();
  const std::size_t even = (shape.k + kBf16Depth - 1) / kBf16Depth * kBf16Depth;
  if (last == shape.n) {
    std::fill_n(packed + shape.bytes() - kSlack, kSlack, std::byte{0});
  }
  for (std::size_t n = first; n < last; n += shape.panel()) {
    const std::size_t columns = std::min(shape.panel(), last - n);
    const std::size_t width = std::min(shape.panel(), shape.padded() - n);
    switch (shape.type) {
      case WeightType::kF32:
        pack_panel<1>(source, shape.k, n, columns, width,
                      reinterpret_cast<float *>(panels) + n * shape.k,
                      [](float x, std::size_t, const float *) { return x; });
        break;
      case WeightType::kBf16:
        pack_panel<kBf16Depth>(source, shape.k, n, columns, width,
                               reinterpret_cast<std::uint16_t *>(panels) + n * even,
                               [](float x, std::size_t, const std::uint16_t *low) {
                                 return low == nullptr ? bf16_of(x) : upper_half_of(x, *low);
                               });
        break;
      case WeightType::kInt8:
        pack_panel<1>(
            source, shape.k, n, columns, width,
            reinterpret_cast<std::int8_t *>(panels) + n * shape.k,
            [scales](float x, std::size_t column, const std::int8_t *) {
              // Neither: a column of zeros, or one that is not finite and so is its scale.
              const float steps = x / scales[column];
              return static_cast<std::int8_t>(std::fabs(steps) < 128 ? std::lrint(steps) : 0);
            });
        break;
    }
  }
}

}  // namespace calm::onednn
