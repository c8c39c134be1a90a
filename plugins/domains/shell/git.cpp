#include "git.hpp"

#include <algorithm>
#include <calm/cpp/utf8.hpp>
#include <cstddef>
#include <filesystem>
#include <system_error>

#include <common/plain.hpp>
#include <common/sources.hpp>

namespace calm::shell {
namespace {

namespace fs = std::filesystem;

constexpr int kMostFolders = 64;
constexpr std::size_t kMaxFile = 4096;
constexpr std::size_t kLongestBranch = 128;
constexpr std::size_t kShownDigits = 8;

bool is_there(const fs::path &path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string first_line(const fs::path &path) {
  const auto text = sources::read_beginning(path.string(), kMaxFile);
  return text ? std::string(sources::trim(text->substr(0, text->find('\n')))) : std::string();
}

// The folder with HEAD, from the .git of a work tree.
fs::path git_folder(const fs::path &dot_git) {
  std::error_code ignored;
  if (fs::is_directory(dot_git, ignored)) {
    return dot_git;
  }
  constexpr std::string_view kMark = "gitdir: ";
  const std::string line = first_line(dot_git);
  if (!line.starts_with(kMark)) {
    return {};
  }
  const fs::path target = line.substr(kMark.size());
  return target.is_absolute() ? target : dot_git.parent_path() / target;
}

std::string branch_name(std::string_view reference) {
  constexpr std::string_view kHeads = "refs/heads/";
  reference.remove_prefix(reference.starts_with(kHeads) ? kHeads.size() : 0);
  const bool shown = !reference.empty() && reference.size() <= kLongestBranch &&
                     is_printable(reference) && reference.find(' ') == std::string_view::npos;
  return shown ? std::string(reference) : std::string();
}

bool is_hash(std::string_view text) {
  return text.size() >= 40 && text.size() <= 64 &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string head_of(const fs::path &folder) {
  constexpr std::string_view kReference = "ref: ";
  const std::string head = first_line(folder / "HEAD");
  if (head.starts_with(kReference)) {
    return branch_name(sources::trim(std::string_view(head).substr(kReference.size())));
  }
  return is_hash(head) ? "(" + head.substr(0, kShownDigits) + ")" : std::string();
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 6 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// " 2/5" of the files that count the steps of a rebase.
std::string steps(const fs::path &folder, const char *current, const char *last) {
  const std::string at = first_line(folder / current);
  const std::string end = first_line(folder / last);
  return is_number(at) && is_number(end) ? " " + at + "/" + end : std::string();
}

struct Operation {
  const char *file;
  std::string_view name;
};
constexpr Operation kOperations[] = {{"MERGE_HEAD", "MERGING"},
                                     {"CHERRY_PICK_HEAD", "CHERRY-PICKING"},
                                     {"REVERT_HEAD", "REVERTING"},
                                     {"BISECT_LOG", "BISECTING"}};

std::string state_of(const fs::path &folder, std::string branch) {
  const fs::path merge = folder / "rebase-merge";
  const fs::path apply = folder / "rebase-apply";
  if (is_there(merge) || is_there(apply)) {
    const bool merging = is_there(merge);
    const std::string name = branch_name(first_line((merging ? merge : apply) / "head-name"));
    branch = name.empty() ? branch : name;
    if (!merging && is_there(apply / "applying")) {
      return branch + "|AM" + steps(apply, "next", "last");
    }
    return branch + "|REBASE" +
           (merging ? steps(merge, "msgnum", "end") : steps(apply, "next", "last"));
  }
  for (const Operation &operation : kOperations) {
    if (is_there(folder / operation.file)) {
      return branch + "|" + std::string(operation.name);
    }
  }
  return branch;
}

}  // namespace

std::string git_state(std::string_view cwd) {
  fs::path folder(cwd);
  for (int i = 0; i < kMostFolders && !folder.empty(); ++i) {
    if (is_there(folder / ".git")) {
      const fs::path git = git_folder(folder / ".git");
      const std::string head = git.empty() ? std::string() : head_of(git);
      return head.empty() ? head : state_of(git, head);
    }
    if (folder == folder.root_path() || folder.parent_path() == folder) {
      break;
    }
    folder = folder.parent_path();
  }
  return {};
}

}  // namespace calm::shell
