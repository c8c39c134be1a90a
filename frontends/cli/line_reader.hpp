#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace calm::cli {

/// Lines of an input as they come: what is there is handed out, and only an empty input is waited
/// for. Memory is bounded by `keep`, whatever the input holds.
class LineReader {
 public:
  /// Reads `descriptor`, which stays open. Of each line the first `keep` bytes are kept. `stopped`
  /// is asked some times a second while waiting.
  LineReader(int descriptor, std::size_t keep, std::function<bool()> stopped);

  /// At least one line and at most `most`: those that are complete or come without waiting, and at
  /// the end of the input the last one even without a line feed. Nothing when the input has ended.
  /// CR LF ends a line as LF does; neither is handed out. CALM_CANCELLED when asked to stop,
  /// CALM_IO when the system refuses.
  std::vector<std::string> read(std::size_t most);

 private:
  void fill();
  bool has_more_now() const;
  void take(std::vector<std::string> &lines);
  void end_line(std::vector<std::string> &lines);

  int descriptor_;
  std::size_t keep_;
  std::function<bool()> stopped_;
  std::vector<char> chunk_;
  std::size_t at_ = 0;    // in chunk_, of the first byte not yet taken
  std::string line_;      // the first bytes of the line being read
  std::size_t size_ = 0;  // of all its bytes
  bool ended_ = false;
};

}  // namespace calm::cli
