#include <calm/domain.h>
#include <calm/cpp/plugin.hpp>
#include <calm/cpp/utf8.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "context.hpp"
#include "destructive.hpp"
#include "import.hpp"

namespace {

using calm::literal;

// A suggestion goes into a line the user may run with one key: no control, no line feed, nothing
// that hides, and no harm the user has not begun to write.
bool may_offer(std::string_view typed, std::string_view candidate) {
  if (candidate.empty() || !calm::is_printable(candidate)) {
    return false;
  }
  std::string line(typed);
  line += candidate;
  const std::optional<std::size_t> harm = calm::shell::destructive(line);
  return !harm || *harm <= typed.size();
}

std::uint32_t offer(calm_str typed, calm_str candidate) {
  try {
    return may_offer(calm::view(typed), calm::view(candidate)) ? 1 : 0;
  } catch (...) {
    return 0;  // out of memory: better nothing than something unread
  }
}

calm_status import_sources(const calm_import *request, const calm_host *host, calm_error *error) {
  return calm::guard(error, [&] { calm::shell::import_commands(*request, host); });
}

calm_status gather(calm_str cwd, void *context, calm_field_fn field, const calm_host *,
                   calm_error *error) {
  return calm::guard(error, [&] {
    calm::shell::gather_context(calm::view(cwd),
                                [&](std::string_view name, std::string_view value) {
                                  calm::call(field, context, calm::str(name), calm::str(value));
                                });
  });
}

constexpr calm_sampler_defaults make_sampler() {
  calm_sampler_defaults sampler{};
  sampler.size = sizeof sampler;
  sampler.temperature = 0.6;
  sampler.top_k = 5;
  sampler.max_tokens = 32;
  sampler.candidates = 3;
  return sampler;
}
constexpr calm_sampler_defaults kSampler = make_sampler();

constexpr calm_domain make_domain() {
  calm_domain domain{};
  domain.size = sizeof domain;
  domain.doc = literal("completion of command lines; imports histories, completion files, manuals");
  domain.template_spec = literal(
      "BOS;CWD:cwd;GIT:git;HIST(cmd):history*/EXIT:exit;ENV:env*;COMP:completions+;ATN;CMD:input");
  domain.stop_conditions = literal("| ; && ||");
  domain.sampler = &kSampler;
  domain.import = import_sources;
  domain.gather_context = gather;
  domain.filter = offer;
  return domain;
}

constexpr calm_domain kDomain = make_domain();
constexpr calm_provided kProvides[] = {{CALM_KIND_DOMAIN, 1, literal("shell"), &kDomain}};
constexpr calm_plugin kPlugin =
    calm::describe_plugin(literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"),
                          literal("Apache-2.0"), literal("completion of command lines"), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
