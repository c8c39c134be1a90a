#include "frontends/cli/line_reader.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <calm/cpp/error.hpp>

namespace calm::cli {

namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr int kAskEvery = 100;  // ms between two looks at `stopped`

// Whether a read would not wait; an error or an end is told by the read.
bool is_ready(int descriptor, int wait_ms) {
  pollfd request{descriptor, POLLIN, 0};
  const int ready = ::poll(&request, 1, wait_ms);
  return ready > 0 || (ready < 0 && errno != EINTR);
}

}  // namespace

LineReader::LineReader(int descriptor, std::size_t keep, std::function<bool()> stopped)
    : descriptor_(descriptor), keep_(keep), stopped_(std::move(stopped)) {}

bool LineReader::has_more_now() const { return is_ready(descriptor_, 0); }

void LineReader::fill() {
  for (;;) {
    if (stopped_()) {
      throw Error(CALM_CANCELLED, "stopped while reading standard input");
    }
    if (!is_ready(descriptor_, kAskEvery)) {
      continue;
    }
    chunk_.resize(kChunk);
    at_ = 0;
    const ssize_t got = ::read(descriptor_, chunk_.data(), chunk_.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (got < 0) {
      throw Error(CALM_IO, std::string("standard input: cannot read: ") + std::strerror(errno));
    }
    chunk_.resize(static_cast<std::size_t>(got));
    ended_ = got == 0;
    return;
  }
}

void LineReader::end_line(std::vector<std::string> &lines) {
  if (size_ > 0 && size_ <= keep_ && line_.back() == '\r') {
    line_.pop_back();
  }
  lines.push_back(std::exchange(line_, {}));
  size_ = 0;
}

// Up to the end of the line, or of what was read.
void LineReader::take(std::vector<std::string> &lines) {
  const auto begin = chunk_.begin() + static_cast<std::ptrdiff_t>(at_);
  const auto end = std::find(begin, chunk_.end(), '\n');
  const auto count = static_cast<std::size_t>(end - begin);
  line_.append(
      begin, begin + static_cast<std::ptrdiff_t>(std::min(count, keep_ - std::min(keep_, size_))));
  size_ += count;
  at_ += count;
  if (end != chunk_.end()) {
    ++at_;
    end_line(lines);
  }
}

std::vector<std::string> LineReader::read(std::size_t most) {
  std::vector<std::string> lines;
  while (lines.size() < most && !ended_) {
    if (at_ < chunk_.size()) {
      take(lines);
      continue;
    }
    if (!lines.empty() && !has_more_now()) {
      break;
    }
    fill();
    if (ended_ && size_ > 0) {
      end_line(lines);
    }
  }
  return lines;
}

}  // namespace calm::cli
