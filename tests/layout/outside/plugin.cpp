// A domain in C++ with an importer: one record a source, telling the file's name.
#include <calm/domain.h>
#include <calm/host.h>

#include <calm/cpp/plugin.hpp>
#include <string>

namespace {

calm_status import(const calm_import *request, const calm_host *host, calm_error *error) {
  return calm::guard(error, [&] {
    if (request->n_sources == 0) {
      throw calm::Error(CALM_INVALID_ARGUMENT, "expected a source, found none");
    }
    for (std::uint32_t i = 0; i < request->n_sources; ++i) {
      const std::string path = calm::copy(request->sources[i]);
      const std::string record = "outside " + path.substr(path.rfind('/') + 1);
      calm::call(request->record, request->context, calm::str(record));
    }
    request->count(request->context, calm::str("sources"), request->n_sources);
    host->log(host->self, CALM_LOG_INFO, calm::str("imported outside"));
  });
}

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  static calm_domain domain{};
  domain.size = sizeof domain;
  domain.template_spec = calm::literal("<BOS><EOS>");
  domain.import = import;
  static const calm_provided provides[] = {
      {CALM_KIND_DOMAIN, 1, calm::literal(CALM_PLUGIN_ID), &domain},
  };
  static calm_plugin plugin{};
  plugin.size = sizeof plugin;
  plugin.build = calm::build_stamp();
  plugin.id = calm::literal(CALM_PLUGIN_ID);
  plugin.version = calm::literal(CALM_PLUGIN_VERSION);
  plugin.provides = calm::table(provides);
  return calm::answer_query(plugin, abi_min, abi_max, error);
}
