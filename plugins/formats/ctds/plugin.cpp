#include <calm/cpp/plugin.hpp>

#include <string_view>

#include "layout.hpp"
#include "reader.hpp"
#include "writer.hpp"

namespace {

class Format {
 public:
  static constexpr std::uint32_t kHolds = CALM_FORMAT_DATASET;
  static constexpr const char *kExtension = "ctds";
  static constexpr const char *kDoc = "token sequences to train on, CTDS";

  static std::uint32_t probe(std::span<const std::byte> head, std::uint64_t) noexcept {
    using calm::ctds::kMagic;
    return head.size() >= kMagic.size() &&
                   std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0
               ? 100
               : 0;
  }

  Format(const calm::Input &input, const calm_host *host) : reader_(input, host) {}
  const calm_document &document() const { return reader_.document(); }
  void read(std::uint32_t index, void *dst, std::uint64_t bytes) {
    reader_.read(index, dst, bytes);
  }
  static void write(const calm::DocumentView &document, const calm_host *,
                    const calm::Output &output) {
    calm::ctds::write(document, output);
  }

 private:
  calm::ctds::Reader reader_;
};

constexpr calm_format kFormat = calm::make_format<Format>();
constexpr calm_provided kProvides[] = {
    {CALM_KIND_FORMAT, 1, calm::literal("ctds"), &kFormat},
};
constexpr calm_plugin kPlugin = calm::describe_plugin(
    calm::literal(CALM_PLUGIN_ID), calm::literal(CALM_PLUGIN_VERSION), calm::literal("calm"),
    calm::literal("Apache-2.0"), calm::literal(Format::kDoc), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
