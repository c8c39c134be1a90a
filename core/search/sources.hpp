#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/run/runtime.hpp"
#include "core/search/index.hpp"
#include "core/search/passages.hpp"

namespace calm::search {

/// A larger source is refused.
inline constexpr std::uint64_t kLargestSource = std::uint64_t{64} << 20;

struct SourceFile {
  std::string path;    ///< absolute
  bool named = false;  ///< by the user; otherwise found in a folder the user named
};

/// The name an index knows a source by: absolute, without "." and "..", links not followed.
std::string source_name(const std::string &path);

/// Files as they are given; in the place of a folder the regular files below it, by path, links
/// left out. Each once. Error(CALM_IO) for what is not there or is no file.
std::vector<SourceFile> list_sources(std::span<const std::string> given);

struct Source {
  Document document;  ///< title and kind are set by cut_source()
  std::string content;
};

/// CALM_IO, CALM_CORRUPT_DATA for more than kLargestSource.
Source read_source(const std::string &path);

/// Cuts a source by what it is:
///   pairs (spec H.2)        a passage each, as it is; the query is its section; equal passages
///   once man pages, RFCs, gzip   what the domain netref makes of them, without spans other UTF-8
///   text        cut_text(), with spans; what the domain finds nothing in, too
/// Of equal passages of the first two kinds only one stays. CALM_CORRUPT_DATA for what is no text.
std::vector<Passage> cut_source(run::Runtime &runtime, Source &source);

}  // namespace calm::search
