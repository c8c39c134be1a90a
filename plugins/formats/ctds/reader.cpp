#include "reader.hpp"

#include <algorithm>
#include <string>

#include <calm/cpp/byte_reader.hpp>

#include "layout.hpp"

namespace calm::ctds {
namespace {

std::string sequence(std::uint64_t index) { return "sequence " + std::to_string(index); }

void warn(const calm_host *host, const std::string &text) {
  if (host != nullptr && host->log != nullptr) {
    host->log(host->self, CALM_LOG_WARN, str(text));
  }
}

}  // namespace

Reader::Reader(const Input &input, const calm_host *host) : input_(input) {
  read_header();
  check_lengths(host);
  check_positions();
  check_tokens();

  document_.field("vocab_version", static_cast<std::int64_t>(vocab_version_));
  document_.field("count", static_cast<std::int64_t>(count_));
  document_.field("max_len", static_cast<std::int64_t>(max_len_));
  document_.tensor(kLengths, type_of(CALM_U16, {static_cast<std::int64_t>(count_)}));
  document_.tensor(kCmdPos, type_of(CALM_U16, {static_cast<std::int64_t>(count_)}));
  document_.tensor(kTokens, type_of(CALM_U16, {static_cast<std::int64_t>(total_)}));
}

void Reader::read_header() {
  std::array<std::byte, kHeaderBytes> bytes{};
  if (input_.bytes() < bytes.size()) {
    corrupt_at(input_.bytes(), "a header of 14 bytes", "the end");
  }
  input_.read(0, bytes.data(), bytes.size());
  ByteReader in(bytes);
  const auto magic = in.bytes(kMagic.size(), "magic");
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    corrupt_at(0, "the magic CTDS", "other bytes");
  }
  vocab_version_ = in.u32("vocab_version");
  count_ = in.u32("count");
  max_len_ = in.u16("max_len");
  offsets_ = {kHeaderBytes, kHeaderBytes + 2 * count_, kHeaderBytes + 4 * count_};
  if (offsets_[2] > input_.bytes()) {
    corrupt_at(8, "lengths and positions within " + std::to_string(input_.bytes()) + " bytes",
               std::to_string(count_) + " sequences");
  }
}

void Reader::check_lengths(const calm_host *host) {
  std::uint64_t longest = 0;
  input_.each_piece<std::uint16_t>(
      offsets_[0], count_, [&](std::uint64_t first, std::span<const std::uint16_t> lengths) {
        for (std::size_t i = 0; i < lengths.size(); ++i) {
          if (lengths[i] == 0) {
            corrupt_at(offsets_[0] + 2 * (first + i),
                       "a length of at least 1 for " + sequence(first + i), "0");
          }
          total_ += lengths[i];  // at most 2^32 * 2^16
          longest = std::max<std::uint64_t>(longest, lengths[i]);
        }
      });
  const std::uint64_t expected = offsets_[2] + 2 * total_;
  if (input_.bytes() != expected) {
    corrupt_at(std::min(input_.bytes(), expected),
               "a file of " + std::to_string(expected) + " bytes", std::to_string(input_.bytes()));
  }
  if (max_len_ != longest) {
    warn(host, "offset 12: expected max_len " + std::to_string(longest) + ", found " +
                   std::to_string(max_len_));
  }
}

void Reader::check_positions() const {
  std::vector<std::uint16_t> piece;
  input_.each_piece<std::uint16_t>(
      offsets_[0], count_, [&](std::uint64_t first, std::span<const std::uint16_t> lengths) {
        piece.resize(lengths.size());
        input_.read(offsets_[1] + 2 * first, piece.data(), 2 * piece.size());
        for (std::size_t i = 0; i < lengths.size(); ++i) {
          if (piece[i] >= lengths[i]) {
            corrupt_at(offsets_[1] + 2 * (first + i),
                       "cmd_pos below the length " + std::to_string(lengths[i]) + " of " +
                           sequence(first + i),
                       std::to_string(piece[i]));
          }
        }
      });
}

void Reader::check_tokens() const {
  input_.each_piece<std::uint16_t>(
      offsets_[2], total_, [&](std::uint64_t first, std::span<const std::uint16_t> tokens) {
        // The maximum vectorises; where it stands is asked only of a broken file.
        std::uint16_t highest = 0;
        for (const std::uint16_t token : tokens) {
          highest = std::max(highest, token);
        }
        if (highest < kVocabSize) {
          return;
        }
        const auto bad = std::find_if(tokens.begin(), tokens.end(),
                                      [](std::uint16_t token) { return token >= kVocabSize; });
        const auto index = first + static_cast<std::uint64_t>(bad - tokens.begin());
        corrupt_at(offsets_[2] + 2 * index, "a token below " + std::to_string(kVocabSize),
                   std::to_string(*bad));
      });
}

void Reader::read(std::uint32_t index, void *dst, std::uint64_t bytes) const {
  document_.expect(index, bytes);
  input_.read(offsets_[index], dst, bytes);
}

}  // namespace calm::ctds
