#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace calm::shell {

/// Text out of a command line, quotes removed, that knows where it stood: ends[i] is the offset
/// just past the part of the line that became chars[i].
struct Text {
  std::string chars;
  std::vector<std::size_t> ends;

  void push(char c, std::size_t end) {
    chars.push_back(c);
    ends.push_back(end);
  }
  /// Chars [begin, begin + count), with their places.
  Text part(std::size_t begin, std::size_t count = std::string::npos) const;
  /// Where the text ends on the line; 0 for none.
  std::size_t end() const { return ends.empty() ? 0 : ends.back(); }
};

/// The whole of a line, as typed.
Text whole(std::string_view line);

struct Command;

/// A word after quote removal. Variables stay as they are written.
struct Word : Text {
  std::vector<Command> inside;  ///< of its command and process substitutions
};

struct Command {
  std::vector<Word> words;
  std::vector<Word> targets;  ///< of output redirections
  bool piped = false;         ///< reads what an earlier command wrote
};

/// Every simple command of a line as a POSIX shell, bash or zsh would read it, those of subshells
/// and groups among them. Reads anything: what is not closed ends with the line, and a comment is
/// read like words, since not every shell has them at its prompt. Returns false when substitutions
/// nest too deep to say.
bool parse(const Text &line, std::vector<Command> &out);

}  // namespace calm::shell
