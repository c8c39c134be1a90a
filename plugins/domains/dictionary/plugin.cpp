#include <calm/domain.h>
#include <calm/cpp/plugin.hpp>

#include "import.hpp"

namespace {

using calm::literal;

calm_status import_sources(const calm_import *request, const calm_host *host, calm_error *error) {
  return calm::guard(error, [&] { calm::dictionary::import_databases(*request, host); });
}

constexpr calm_sampler_defaults make_sampler() {
  calm_sampler_defaults sampler{};
  sampler.size = sizeof sampler;
  sampler.temperature = 0.2;
  sampler.top_k = 5;
  sampler.max_tokens = 512;
  return sampler;
}
constexpr calm_sampler_defaults kSampler = make_sampler();

constexpr calm_domain make_domain() {
  calm_domain domain{};
  domain.size = sizeof domain;
  domain.doc = literal("definitions of words; imports dictd databases");
  domain.template_spec = literal("BOS;WORD:input/ATN/POS:pos/NOTE:note/IPA:ipa");
  domain.stop_conditions = literal("");
  domain.sampler = &kSampler;
  domain.import = import_sources;
  return domain;
}

constexpr calm_domain kDomain = make_domain();
constexpr calm_provided kProvides[] = {{CALM_KIND_DOMAIN, 1, literal("dictionary"), &kDomain}};
constexpr calm_plugin kPlugin =
    calm::describe_plugin(literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"),
                          literal("Apache-2.0"), literal("dictionary look-up"), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
