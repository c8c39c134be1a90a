#include "core/text/shell_sequence.hpp"

#include <string_view>

namespace calm::text {
namespace {

void append_frame(std::vector<Token> &out, Token token, std::string_view content) {
  out.push_back(token);
  append_bytes(out, content);
  out.push_back(kEnd);
}

}  // namespace

std::vector<Token> build_shell_sequence(const ShellContext &context) {
  std::vector<Token> ids = {kBos};
  if (context.cwd) append_frame(ids, kCwd, *context.cwd);
  if (context.git) append_frame(ids, kGit, *context.git);
  for (const ShellContext::Command &command : context.history) {
    ids.push_back(kHist);
    append_bytes(ids, command.text);
    ids.push_back(kExit);
    append_bytes(ids, std::to_string(command.exit_status));
    ids.push_back(kEnd);
  }
  for (std::size_t i = 0; i < context.completions.size(); ++i) {
    ids.push_back(i == 0 ? kComp : kNext);
    append_bytes(ids, context.completions[i]);
  }
  if (!context.completions.empty()) ids.push_back(kEnd);
  if (context.env) append_frame(ids, kEnv, *context.env);
  ids.push_back(kAtn);
  ids.push_back(kCmd);
  append_bytes(ids, context.partial_cmd);
  return ids;
}

}  // namespace calm::text
