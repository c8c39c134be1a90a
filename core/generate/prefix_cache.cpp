#include "core/generate/prefix_cache.hpp"

#include <algorithm>
#include <iterator>

namespace calm::generate {

namespace {

using Text = std::span<const text::Token>;

bool begins_with(Text text, Text beginning) {
  return beginning.size() <= text.size() &&
         std::equal(beginning.begin(), beginning.end(), text.begin());
}

}  // namespace

PrefixCache::PrefixCache(Generator &generator, const PrefixLimits &limits)
    : generator_(&generator), limits_(limits) {
  limits_.states = std::max<std::size_t>(limits_.states, 2);
}

std::uint64_t PrefixCache::bytes() const {
  std::uint64_t sum = 0;
  for (const Entry &entry : entries_) {
    sum += entry.prefix.bytes();
  }
  return sum;
}

// What `text` begins with goes to the front, the longest first.
void PrefixCache::touch(Text text) {
  Entries useful;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (begins_with(text, at->text)) {
      useful.splice(useful.end(), entries_, at);
    }
    at = next;
  }
  useful.sort([](const Entry &a, const Entry &b) { return a.text.size() > b.text.size(); });
  entries_.splice(entries_.begin(), useful);
}

// Half of what is left; in a text that is new, whole rows of the programs (run::bucket_tokens).
std::size_t PrefixCache::next_piece(std::size_t left, bool cut_back) const {
  constexpr std::size_t kRows = 64;
  if (cut_back) {
    return (left + 1) / 2;
  }
  return left <= kRows ? left : (left / 2 + kRows - 1) / kRows * kRows;
}

// The state to give up for one more of `text`: of no use for it and longest without use, else the
// one whose place the others cover best, by how far from the end of the text it is. Never the
// longest: it is read on from.
PrefixCache::Entries::iterator PrefixCache::victim(Text text) {
  const auto last = std::prev(entries_.end());
  if (!begins_with(text, last->text)) {
    return last;
  }
  const auto size_at = [&](Entries::iterator at) { return static_cast<double>(at->text.size()); };
  auto best = last;
  double least = 2;  // above every share
  for (auto at = std::next(entries_.begin()); at != entries_.end(); ++at) {
    const double below = at == last ? 0 : size_at(std::next(at));
    const double gap = size_at(std::prev(at)) - below;
    const double share = gap / (static_cast<double>(text.size()) - below);
    if (share < least) {
      least = share;
      best = at;
    }
  }
  return best;
}

// An entry to read into, outside of the cache until it is whole.
PrefixCache::Entries PrefixCache::room_for(Text text) {
  Entries out;
  const std::uint64_t each = entries_.empty() ? 0 : entries_.front().prefix.bytes();
  while (entries_.size() >= 2 &&
         (entries_.size() >= limits_.states || (entries_.size() + 1) * each > limits_.bytes)) {
    out.clear();
    out.splice(out.end(), entries_, victim(text));
  }
  if (out.empty()) {
    out.push_back({});
  }
  return out;
}

const Prefix &PrefixCache::read(Text prompt) {
  Generator::check_prompt(prompt);
  const Text seen =
      prompt.last(std::min(prompt.size(), static_cast<std::size_t>(generator_->l_max())));
  touch(seen);
  const bool cut_back = std::any_of(entries_.begin(), entries_.end(), [&](const Entry &entry) {
    return entry.text.size() > seen.size() && begins_with(entry.text, seen);
  });
  const bool known = !entries_.empty() && begins_with(seen, entries_.front().text);
  std::size_t at = known ? entries_.front().text.size() : 0;
  while (at < seen.size()) {
    const std::size_t piece = next_piece(seen.size() - at, cut_back);
    const Prefix *from = at == 0 ? nullptr : &entries_.front().prefix;
    Entries next = room_for(seen);
    generator_->read_on(from, seen.subspan(at, piece), next.front().prefix);
    at += piece;
    next.front().text.assign(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(at));
    next.front().prefix.length_ = static_cast<std::int64_t>(at);
    entries_.splice(entries_.begin(), next);
  }
  Prefix &found = entries_.front().prefix;
  found.length_ = static_cast<std::int64_t>(prompt.size());
  return found;
}

}  // namespace calm::generate
