#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"
#include "core/run/stage.hpp"
#include "core/text/tokenizer.hpp"

namespace calm::generate {

/// Sampler settings of spec D.1; temperature <= 0 or no filter at all is greedy.
struct Sampling {
  double temperature = 0.8;
  std::int64_t top_k = 5;
  double top_p = 0;
  double min_p = 0;
  std::int64_t max_tokens = 256;
  std::uint64_t seed = 0;
};

/// Why a candidate ended.
enum class StopReason { kEos, kStop, kLength, kLMax };
/// "eos", "stop", "length", "l_max".
std::string_view stop_name(StopReason reason);

struct Candidate {
  std::vector<text::Token> ids;  ///< generated tokens, PAD/EOS and stop token left out
  double score = 0;              ///< sum of unfiltered log-probabilities (spec D.2)
  StopReason stop = StopReason::kLength;
};

/// Prefill and decode on one session. Keeps its compiled programs from call to call.
class Generator {
 public:
  /// The loaded model and the session must outlive the generator.
  Generator(run::LoadedModel &loaded, run::Session &session);
  ~Generator();

  /// `candidates` independent continuations of one prompt (spec D.3): one prefill, then one batch.
  /// `stops` as text::parse_stop_conditions gives them. CALM_INVALID_ARGUMENT for an empty prompt,
  /// CALM_CANCELLED when `cancelled` answers true.
  std::vector<Candidate> generate(std::span<const text::Token> prompt, std::int64_t candidates,
                                  const Sampling &sampling, const std::vector<std::string> &stops,
                                  const std::function<bool()> &cancelled = {});

 private:
  struct Decode;
  Decode &decode_programs(std::int64_t sequences);
  std::vector<float> prefill(std::span<const text::Token> prompt, Decode &decode);

  run::LoadedModel *loaded_;
  run::Session *session_;
  run::Buffer weights_;
  run::SlotBuffers shared_{};
  std::map<std::int64_t, std::unique_ptr<run::Stage>> prefills_;  // by bucket
  std::map<std::int64_t, std::unique_ptr<Decode>> decodes_;       // by number of sequences
};

}  // namespace calm::generate
