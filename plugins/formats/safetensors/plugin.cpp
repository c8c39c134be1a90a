#include <calm/cpp/plugin.hpp>

#include <cstring>

#include "header.hpp"
#include "reader.hpp"
#include "writer.hpp"

namespace {

class Format {
 public:
  static constexpr std::uint32_t kHolds = CALM_FORMAT_TENSORS;
  static constexpr const char *kExtension = "safetensors";
  static constexpr const char *kDoc = "any named tensors, safetensors";

  // No magic: the brace that every header starts with, and a header length that fits the file.
  static std::uint32_t probe(std::span<const std::byte> head, std::uint64_t file_bytes) noexcept {
    constexpr std::size_t kLengthBytes = calm::safetensors::kLengthBytes;
    if (head.size() <= kLengthBytes || head[kLengthBytes] != std::byte{'{'}) {
      return 0;
    }
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, head.data(), sizeof header_bytes);
    return file_bytes >= kLengthBytes && header_bytes <= file_bytes - kLengthBytes ? 90 : 50;
  }

  Format(const calm::Input &input, const calm_host *) : reader_(input) {}
  const calm_document &document() const { return reader_.document(); }
  void read(std::uint32_t index, void *dst, std::uint64_t bytes) {
    reader_.read(index, dst, bytes);
  }
  static void write(const calm::DocumentView &document, const calm_host *,
                    const calm::Output &output) {
    calm::safetensors::write(document, output);
  }

 private:
  calm::safetensors::Reader reader_;
};

constexpr calm_format kFormat = calm::make_format<Format>();
constexpr calm_provided kProvides[] = {
    {CALM_KIND_FORMAT, 1, calm::literal("safetensors"), &kFormat},
};
constexpr calm_plugin kPlugin = calm::describe_plugin(
    calm::literal(CALM_PLUGIN_ID), calm::literal(CALM_PLUGIN_VERSION), calm::literal("calm"),
    calm::literal("Apache-2.0"), calm::literal(Format::kDoc), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
