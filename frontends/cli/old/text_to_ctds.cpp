#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "frontends/cli/dataset_encode.hpp"
#include "frontends/cli/old/old_name.hpp"

namespace calm::cli {

// Spec N.4, L.7: the same work as `calm dataset encode`, told on standard output.
void declare_old_text_to_ctds(CLI::App &app, Action &action) {
  auto options = std::make_shared<EncodeOptions>();
  EncodeOptions &o = *options;
  app.add_option("input", o.input, "text file")->required();
  app.add_option("-o,--output", o.output, "CTDS file")->required();
  app.add_option("--l-max", o.l_max, "longest sequence kept, in tokens")->capture_default_str();
  app.add_option("--val-split", o.val_split, "share that goes to validation")
      ->capture_default_str();
  app.add_option("--val-output", o.val_output, "CTDS file of that share; OUTPUT_val.ctds");
  app.add_flag("--stats", o.stats, "print the first sequences");
  action = [options](Context &context) {
    encode_dataset(context, *options, [&context](const std::string &line) {
      context.out.untrusted(line);
      context.out.line("");
    });
    return 0;
  };
}

}  // namespace calm::cli
