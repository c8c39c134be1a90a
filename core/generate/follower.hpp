#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace calm::generate {

/// Why a candidate ended.
enum class StopReason { kEos, kStop, kLength, kLMax };
/// "eos", "stop", "length", "l_max".
std::string_view stop_name(StopReason reason);

struct Candidate {
  std::vector<text::Token> ids;  ///< generated tokens, PAD/EOS and stop token left out
  double score = 0;              ///< sum of unfiltered log-probabilities (spec D.2)
  StopReason stop = StopReason::kLength;
};

/// Follows one candidate: what of the sampled tokens it keeps, and when it ends (spec D.3).
class Follower {
 public:
  /// `prompt`: tokens before the first one, those the model no longer sees among them.
  Follower(std::int64_t prompt, std::int64_t l_max, std::int64_t max_tokens);

  bool done() const { return done_; }
  /// The most tokens it can still take; 0 when done.
  std::int64_t left() const;
  /// The next token sampled. Ignored when done: a device may run ahead of its reader.
  void take(text::Token next, double log_prob, const std::vector<std::string> &stops);

  const Candidate &candidate() const { return candidate_; }

 private:
  void end(StopReason reason);
  void settle();

  Candidate candidate_;
  std::int64_t length_, l_max_, left_;
  bool done_ = false;
};

}  // namespace calm::generate
