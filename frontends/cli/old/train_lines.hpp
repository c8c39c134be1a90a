#pragma once

#include <exception>
#include <string>

#include "core/train/train.hpp"
#include "frontends/cli/output.hpp"

namespace calm::cli {

/// Prints a run on standard output as the old programs do (spec I.9, I.10, I.13; I.15 where pairs
/// are learnt from). A reader that has gone, or a full disk, does not end a run whose result is in
/// files: lines stop, and finish() says what happened.
class TrainLines : public train::TrainObserver {
 public:
  /// Both must outlive the observer. `device` is "cpu" or a backend's name.
  TrainLines(Output &out, const train::TrainConfig &config, std::string device, bool pairs);

  void started(const Start &start) override;
  void logged(const train::StepMetrics &metrics) override;
  void epoch_ended(const Epoch &epoch) override;
  void stopping(const std::string &why) override;

  /// The last line; rethrows what ended the lines before.
  void finish(const train::TrainResult &result);

 private:
  void print(const std::string &line);

  Output &out_;
  const train::TrainConfig &config_;
  std::string device_;
  bool pairs_;
  std::exception_ptr failure_;
};

}  // namespace calm::cli
