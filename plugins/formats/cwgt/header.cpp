#include "header.hpp"

#include <algorithm>
#include <string>

#include <calm/cpp/byte_reader.hpp>

namespace calm::cwgt {
namespace {

constexpr std::string_view kMagic = "CWGT";
constexpr std::size_t kReservedBytes = 9;

void check_version(std::uint16_t version) {
  if (version >= kOldestArchVersion && version <= kArchVersion) {
    return;
  }
  const char *age = version > kArchVersion ? "a newer" : "an older";
  throw Error(CALM_VERSION, std::string("offset 4: made by ") + age + " version of calm (arch " +
                                std::to_string(version) + ", this reads " +
                                std::to_string(kOldestArchVersion) + " to " +
                                std::to_string(kArchVersion) + ")");
}

std::uint64_t read_size(ByteReader &in, std::string_view name, std::size_t width) {
  const std::uint64_t at = in.offset();
  const std::uint64_t value = width == 1 ? in.u8(name) : in.u16(name);
  if (value == 0) {
    corrupt_at(at, std::string(name) + " of at least 1", "0");
  }
  return value;
}

void read_flags(ByteReader &in, Header &h) {
  const std::uint64_t at = in.offset();
  const std::uint16_t flags = in.u16("flags");
  if ((flags & ~(kFlagTied | kFlagEwc)) != 0) {
    corrupt_at(at, "flag bits 0 and 1 only", std::to_string(flags));
  }
  if ((flags & kFlagTied) == 0) {
    corrupt_at(at, "the flag of a tied head", "a model without its head");
  }
  h.ewc = (flags & kFlagEwc) != 0;
}

}  // namespace

Header parse_header(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const auto magic = in.bytes(kMagic.size(), "magic");
  if (!std::equal(magic.begin(), magic.end(), kMagic.begin(),
                  [](std::byte b, char c) { return b == static_cast<std::byte>(c); })) {
    corrupt_at(0, "the magic CWGT", "other bytes");
  }
  Header h;
  h.arch_version = in.u16("arch_version");
  check_version(h.arch_version);
  read_flags(in, h);
  const std::uint16_t vocab = in.u16("vocab_size");
  if (vocab != kVocabSize) {
    corrupt_at(8, "vocab_size " + std::to_string(kVocabSize), std::to_string(vocab));
  }
  Sizes &s = h.sizes;
  s.d_model = read_size(in, "d_model", 2);
  s.n_layers = read_size(in, "n_layers", 1);
  s.ffn_expand = read_size(in, "ffn_expand", 1);
  s.expand = read_size(in, "expand", 1);
  s.d_state = read_size(in, "d_state", 1);
  s.l_max = read_size(in, "l_max", 2);
  h.param_count = in.u32("param_count");
  for (std::size_t i = 0; i < kSamplerFields.size(); ++i) {
    const std::string_view name = kSamplerFields[i].name;
    h.sampler[i] = kSamplerFields[i].max > 255 ? in.u16(name) : in.u8(name);
  }
  s.d_conv = read_size(in, "d_conv", 1);
  h.meta_size = in.u32("meta_size");
  s.dt_rank = resolved_dt_rank(in.u8("dt_rank"), s.d_model);
  for (std::size_t i = 0; i < kReservedBytes; ++i) {
    const std::uint64_t at = in.offset();
    const std::uint8_t reserved = in.u8("reserved byte");
    if (reserved != 0) {
      corrupt_at(at, "a reserved byte of 0", std::to_string(reserved));
    }
  }
  if (h.param_count != param_count(s)) {
    corrupt_at(18, "param_count " + std::to_string(param_count(s)) + " for these sizes",
               std::to_string(h.param_count));
  }
  if (h.meta_size > kMaxMetaBytes) {
    corrupt_at(34, "meta_size of at most " + std::to_string(kMaxMetaBytes),
               std::to_string(h.meta_size));
  }
  return h;
}

ByteWriter pack_header(const Header &h) {
  const Sizes &s = h.sizes;
  ByteWriter out;
  out.text(kMagic);
  out.u16(kArchVersion, "version");
  out.u16(static_cast<std::uint64_t>(kFlagTied | (h.ewc ? kFlagEwc : 0)), "flags");
  out.u16(kVocabSize, "vocab_size");
  out.u16(s.d_model, "d_model");
  out.u8(s.n_layers, "n_layers");
  out.u8(s.ffn_expand, "ffn_expand");
  out.u8(s.expand, "expand");
  out.u8(s.d_state, "d_state");
  out.u16(s.l_max, "l_max");
  out.u32(h.param_count, "param_count");
  for (std::size_t i = 0; i < kSamplerFields.size(); ++i) {
    const std::string_view name = kSamplerFields[i].name;
    if (kSamplerFields[i].max > 255) {
      out.u16(h.sampler[i], name);
    } else {
      out.u8(h.sampler[i], name);
    }
  }
  out.u8(s.d_conv, "d_conv");
  out.u32(h.meta_size, "meta_size");
  out.u8(s.dt_rank, "dt_rank");
  out.zeros(kReservedBytes);
  return out;
}

}  // namespace calm::cwgt
