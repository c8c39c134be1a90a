#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/file.hpp"
#include "core/run/runtime.hpp"

namespace calm::cli {

/// Vectors written to a file as one matrix [count, dimension] whose count is known at the end only.
/// Meanwhile they lie in an unlinked file beside the target, so memory does not grow with them.
class EmbeddingFile {
 public:
  /// By the ending of `path`: .safetensors (tensor `embeddings`) or .npy (version 1.0, C order),
  /// float32 both. CALM_INVALID_ARGUMENT for another one; CALM_IO when it could not be written.
  EmbeddingFile(const std::string &path, std::int64_t dimension);
  ~EmbeddingFile();
  EmbeddingFile(const EmbeddingFile &) = delete;
  EmbeddingFile &operator=(const EmbeddingFile &) = delete;

  /// Whole rows.
  void add(std::span<const float> rows);
  /// Puts the file in place, whole. Once.
  void publish(run::Runtime &runtime);

 private:
  enum class Kind { kSafetensors, kNpy };
  static Kind kind_of(const std::string &path);
  void write_npy(const void *rows, std::uint64_t bytes);

  Kind kind_;
  OutputFile file_;
  std::int64_t dimension_;
  std::int64_t count_ = 0;
  int rows_ = -1;  // descriptor of the unlinked file
};

}  // namespace calm::cli
