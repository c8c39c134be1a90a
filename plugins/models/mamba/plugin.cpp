#include <calm/model.h>
#include <calm/cpp/plugin.hpp>
#include <calm/cpp/value.hpp>

#include <span>

#include "backbone.hpp"
#include "config.hpp"

namespace {

using calm::literal;

calm_status check(const calm_value *config, std::uint32_t n_config, calm_error *error) {
  return calm::guard(error, [&] { calm::mamba::check_config(std::span(config, n_config)); });
}

calm_status build(const calm_builder *builder, const calm_model_io *io, calm_value_id *out_rows,
                  calm_error *error) {
  return calm::guard(error, [&] {
    const calm::mamba::Config config =
        calm::mamba::read_config(std::span(io->config, io->n_config));
    *out_rows =
        calm::mamba::build_backbone(calm::Builder(*builder), config, {io->rows}, {io->offsets}).id;
  });
}

calm_model make_model() {
  calm_model model{};
  model.size = sizeof model;
  model.role = CALM_MODEL_BACKBONE;
  model.doc = literal("selective state-space blocks (Mamba) with a GELU feed-forward");
  model.config = calm::mamba::config_schema();
  model.presets = calm::mamba::presets();
  model.check = check;
  model.build = build;
  return model;
}

const calm_plugin &descriptor() {
  static const calm_model model = make_model();
  static const calm_provided provides[] = {{CALM_KIND_MODEL, 1, literal("mamba"), &model}};
  static const calm_plugin plugin =
      calm::describe_plugin(literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"),
                            literal("Apache-2.0"), literal("byte-level Mamba backbone"), provides);
  return plugin;
}

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(descriptor(), abi_min, abi_max, error);
}
