#include "reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include <calm/cpp/byte_reader.hpp>

#include "metadata.hpp"

namespace calm::cwgt {
namespace {

Header read_header(const Input &input) {
  std::array<std::byte, kHeaderBytes> bytes{};
  if (input.bytes() < bytes.size()) {
    corrupt_at(input.bytes(), "a header of 48 bytes", "the end");
  }
  input.read(0, bytes.data(), bytes.size());
  const Header h = parse_header(bytes);
  // The one check that lets everything behind it trust the declared sizes.
  if (input.bytes() != h.file_bytes()) {
    corrupt_at(std::min(input.bytes(), h.file_bytes()),
               "a file of " + std::to_string(h.file_bytes()) + " bytes",
               std::to_string(input.bytes()));
  }
  return h;
}

}  // namespace

Reader::Reader(const Input &input)
    : input_(input), header_(read_header(input)), parameters_(parameters(header_.sizes)) {
  describe_fields();
  describe_tensors("");
  if (header_.ewc) {
    describe_tensors("ewc/fisher/");
    describe_tensors("ewc/theta_star/");
  }
  check_finite();
}

void Reader::describe_fields() {
  const Sizes &s = header_.sizes;
  const auto number = [&](std::string_view name, std::uint64_t v) {
    document_.field(name, static_cast<std::int64_t>(v));
  };
  number("version", header_.arch_version);
  number("d_model", s.d_model);
  number("n_layers", s.n_layers);
  number("l_max", s.l_max);
  number("ffn_expand", s.ffn_expand);
  number("expand", s.expand);
  number("d_state", s.d_state);
  number("d_conv", s.d_conv);
  number("dt_rank", s.dt_rank);
  number("vocab_size", kVocabSize);
  number("param_count", header_.param_count);
  document_.field("tied", true);
  document_.field("ewc", header_.ewc);

  std::vector<std::byte> blob(static_cast<std::size_t>(header_.meta_size));
  input_.read(kHeaderBytes, blob.data(), blob.size());
  const Metadata metadata = parse_metadata(blob);
  document_.field("domain", metadata.domain);
  document_.field("template", metadata.prompt_template);
  document_.field("stop_conditions", metadata.stop_conditions);

  for (std::size_t i = 0; i < kSamplerFields.size(); ++i) {
    if (header_.sampler[i] == 0) {
      continue;
    }
    if (kSamplerFields[i].scaled) {
      document_.field(kSamplerFields[i].name, static_cast<double>(header_.sampler[i]) / 1000.0);
    } else {
      number(kSamplerFields[i].name, header_.sampler[i]);
    }
  }
}

void Reader::describe_tensors(std::string_view prefix) {
  for (const Parameter &p : parameters_) {
    const auto rows = static_cast<std::int64_t>(p.rows), cols = static_cast<std::int64_t>(p.cols);
    document_.tensor(std::string(prefix) + p.name,
                     cols == 0 ? type_of(CALM_F32, {rows}) : type_of(CALM_F32, {rows, cols}));
  }
}

std::uint64_t Reader::block_offset(std::uint64_t block) const {
  // In the file the weights come last: Fisher, anchor, weights.
  const std::uint64_t place = (block + header_.blocks() - 1) % header_.blocks();
  return kHeaderBytes + header_.meta_size + 4 * header_.param_count * place;
}

void Reader::check_finite() const {
  const std::uint64_t start = kHeaderBytes + header_.meta_size;
  input_.each_piece<float>(start, header_.param_count * header_.blocks(),
                           [&](std::uint64_t first, std::span<const float> values) {
                             const std::size_t bad = first_non_finite(values);
                             if (bad != values.size()) {
                               corrupt_at(start + 4 * (first + bad), "a finite value",
                                          std::isnan(values[bad]) ? "nan" : "an infinity");
                             }
                           });
}

void Reader::read(std::uint32_t index, void *dst, std::uint64_t bytes) const {
  document_.expect(index, bytes);
  const Parameter &p = parameters_[index % parameters_.size()];
  const std::uint64_t offset = block_offset(index / parameters_.size()) + 4 * p.offset;
  if (!p.transposed) {
    input_.read(offset, dst, bytes);
    return;
  }
  auto *out = static_cast<std::byte *>(dst);
  std::uint64_t row = 0, col = 0;  // of the checkpoint layout; the file runs down its columns
  input_.each_piece<float>(offset, p.elements(), [&](std::uint64_t, std::span<const float> piece) {
    for (const float v : piece) {
      std::memcpy(out + 4 * (row * p.cols + col), &v, sizeof v);
      if (++row == p.rows) {
        row = 0;
        ++col;
      }
    }
  });
}

}  // namespace calm::cwgt
