#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "core/generate/generator.hpp"

namespace calm::generate {

/// What a cache may keep. One state less than two would be none: the one read on from and the one
/// read into are always there.
struct PrefixLimits {
  std::size_t states = 64;
  std::uint64_t bytes = std::uint64_t{64} << 20;
};

/// The states of texts that a generator has read. A text that begins like one of them costs what
/// comes after it: a key typed is one token, a key deleted none, since the state before it is still
/// there.
///
/// A long piece is read with states on the way, each half as far from its end as the one before: a
/// few states, and most changes are near the end. Where a text was cut back to a place without a
/// state, as where a pasted text is deleted key by key, the distances go down to one token, so that
/// n deletions read O(n log n) tokens in all, not n².
///
/// Results are those of Generator::read to rounding.
class PrefixCache {
 public:
  /// The generator must outlive the cache.
  explicit PrefixCache(Generator &generator, const PrefixLimits &limits = {});

  /// As Generator::read; of a prompt longer than the model reads, it sees the end (spec E.8). The
  /// prefix is good until the next call.
  const Prefix &read(std::span<const text::Token> prompt);

  std::size_t states() const { return entries_.size(); }
  /// Of device memory.
  std::uint64_t bytes() const;

 private:
  struct Entry {
    std::vector<text::Token> text;
    Prefix prefix;
  };
  using Entries = std::list<Entry>;

  void touch(std::span<const text::Token> text);
  std::size_t next_piece(std::size_t left, bool cut_back) const;
  Entries::iterator victim(std::span<const text::Token> text);
  Entries room_for(std::span<const text::Token> text);

  Generator *generator_;
  PrefixLimits limits_;
  /// Those that the text read last begins with, longest first; then the others, by when they were
  /// last of use.
  Entries entries_;
};

}  // namespace calm::generate
