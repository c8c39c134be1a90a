#include "frontends/cli/index_tools.hpp"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/search/build.hpp"

namespace calm::cli {

VectorTools open_encoder(Context &context, const std::string &model, const std::string &pooling) {
  VectorTools tools;
  tools.session = context.open(CALM_WORKLOAD_BATCH);
  tools.encoder =
      std::make_unique<search::Encoder>(context.runtime(), *tools.session, model, pooling);
  return tools;
}

VectorTools open_encoder_of(Context &context, const search::Index &index,
                            const std::string &given) {
  const search::ModelInfo &model = index.model().value();
  std::error_code error;
  if (given.empty() && !std::filesystem::exists(model.path, error)) {
    throw Error(CALM_IO, fmt::format("{}: the model of {} is not there any more: say with -m where "
                                     "it is",
                                     model.path, index.path()));
  }
  VectorTools tools = open_encoder(context, given.empty() ? model.path : given, model.pooling);
  search::expect_model(index, tools.encoder->info());
  return tools;
}

}  // namespace calm::cli
