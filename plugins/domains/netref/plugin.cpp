#include <calm/domain.h>
#include <calm/cpp/plugin.hpp>
#include <calm/cpp/utf8.hpp>

#include "import.hpp"

namespace {

using calm::literal;

// Answers are texts of several lines. What the printer would have to escape is no answer.
std::uint32_t offer(calm_str, calm_str candidate) {
  const std::string_view text = calm::view(candidate);
  return !text.empty() && calm::is_printable(text, "\n\t") ? 1 : 0;
}

calm_status import_sources(const calm_import *request, const calm_host *host, calm_error *error) {
  return calm::guard(error, [&] { calm::netref::import_references(*request, host); });
}

constexpr calm_sampler_defaults make_sampler() {
  calm_sampler_defaults sampler{};
  sampler.size = sizeof sampler;
  sampler.temperature = 0.1;
  sampler.top_k = 5;
  sampler.max_tokens = 512;
  sampler.candidates = 1;
  return sampler;
}
constexpr calm_sampler_defaults kSampler = make_sampler();

constexpr calm_domain make_domain() {
  calm_domain domain{};
  domain.size = sizeof domain;
  domain.doc = literal(
      "questions and the passages of references that answer them; imports manual pages and texts");
  domain.template_spec = literal("BOS;QUERY:input;ATN");
  domain.stop_conditions = literal("");
  domain.sampler = &kSampler;
  domain.import = import_sources;
  domain.filter = offer;
  return domain;
}

constexpr calm_domain kDomain = make_domain();
constexpr calm_provided kProvides[] = {{CALM_KIND_DOMAIN, 1, literal("netref"), &kDomain}};
constexpr calm_plugin kPlugin = calm::describe_plugin(
    literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"), literal("Apache-2.0"),
    literal("answers from network references"), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
