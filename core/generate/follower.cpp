#include "core/generate/follower.hpp"

#include <algorithm>

#include "core/text/stop.hpp"

namespace calm::generate {

std::string_view stop_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEos:
      return "eos";
    case StopReason::kStop:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kLMax:
      return "l_max";
  }
  return "length";
}

Follower::Follower(std::int64_t prompt, std::int64_t l_max, std::int64_t max_tokens)
    : length_(prompt), l_max_(l_max), left_(max_tokens) {
  settle();
}

std::int64_t Follower::left() const { return done_ ? 0 : std::min(left_, l_max_ - length_); }

void Follower::take(text::Token next, double log_prob, const std::vector<std::string> &stops) {
  if (done_) {
    return;
  }
  candidate_.score += log_prob;
  --left_;
  if (next == text::kPad || next == text::kEos) {
    end(StopReason::kEos);
  } else if (text::check_stop(candidate_.ids, next, stops)) {
    end(StopReason::kStop);
  } else {
    candidate_.ids.push_back(next);
    ++length_;
    settle();
  }
}

void Follower::end(StopReason reason) {
  candidate_.stop = reason;
  done_ = true;
}

void Follower::settle() {
  if (left_ <= 0) {
    end(StopReason::kLength);
  } else if (length_ >= l_max_) {
    end(StopReason::kLMax);
  }
}

}  // namespace calm::generate
