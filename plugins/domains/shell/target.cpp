#include "target.hpp"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>
#include <vector>

namespace calm::shell {
namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

bool is_pattern(std::string_view part) {
  return part.find_first_of("*?") != std::string_view::npos &&
         part.find_first_not_of("*?.[]!^") == std::string_view::npos;
}

struct Path {
  std::vector<std::string_view> parts;
  bool above = false;  // left its start by ".."
  bool globbed = false;
};

Path normalised(std::string_view path) {
  Path out;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part == "..") {
      out.above = out.above || out.parts.empty();
      if (!out.parts.empty()) {
        out.parts.pop_back();
      }
    } else if (!part.empty() && part != ".") {
      out.parts.push_back(part);
    }
  }
  while (!out.parts.empty() && is_pattern(out.parts.back())) {
    out.parts.pop_back();
    out.globbed = true;
  }
  return out;
}

// "$NAME" or "${...}" at the start; its length.
std::size_t variable(std::string_view path) {
  if (path.size() < 2 || path[0] != '$') {
    return 0;
  }
  if (path[1] == '{') {
    const std::size_t close = path.find('}');
    return close == std::string_view::npos ? path.size() : close + 1;
  }
  const std::size_t end =
      path.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_", 1);
  return end == std::string_view::npos ? path.size() : end;
}

// Folders of the root but /tmp's content, and whole homes.
bool is_system(const Path &path) {
  const std::vector<std::string_view> &parts = path.parts;
  return parts.empty() || (parts.size() == 1 && !(parts[0] == "tmp" && path.globbed)) ||
         (parts.size() == 2 && is_one_of(parts[0], {"home", "Users"}));
}

}  // namespace

Target classify_target(std::string_view path) {
  Target out;
  if (path.empty()) {
    return out;
  }
  if (path[0] == '/') {
    const Path rest = normalised(path);
    out.system = is_system(rest);
    out.globbed = rest.globbed;
    return out;
  }
  if (path[0] == '~') {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const Path rest = normalised(path.substr(slash));
    out.system = rest.parts.empty();
    out.globbed = rest.globbed;
    return out;
  }
  if (const std::size_t length = variable(path); length != 0) {
    const std::string_view name = path.substr(0, length);
    const std::string_view tail = path.substr(length);
    const Path rest = normalised(tail);
    out.globbed = rest.globbed;
    if (is_one_of(name, {"$HOME", "${HOME}", "${HOME:?}"})) {
      out.system = rest.parts.empty();
    } else if (is_one_of(name, {"$PWD", "${PWD}", "$OLDPWD", "${OLDPWD}"})) {
      out.here = rest.parts.empty();
    } else if (name.find(":?") == std::string_view::npos && !tail.empty() && tail[0] == '/') {
      // Unset, it leaves what follows it.
      out.unset = is_system(rest) && (rest.parts.empty() || rest.globbed);
    } else {
      out.here = rest.globbed && rest.parts.empty() && tail[0] == '*';
    }
    return out;
  }
  const Path rest = normalised(path);
  out.here = rest.parts.empty();
  out.globbed = rest.globbed;
  return out;
}

bool is_raw_device(std::string_view path) {
  constexpr std::string_view kFolder = "/dev/";
  std::string plain;  // without doubled slashes
  for (const char c : path) {
    if (c != '/' || plain.empty() || plain.back() != '/') {
      plain.push_back(c);
    }
  }
  if (!plain.starts_with(kFolder)) {
    return false;
  }
  const std::string_view name = std::string_view(plain).substr(kFolder.size());
  constexpr std::string_view kDevices[] = {
      "sd", "hd",  "vd",   "xvd",     "nvme", "mmcblk", "disk", "rdisk", "loop", "md",    "dm-",
      "sr", "nbd", "zram", "mapper/", "mem",  "kmem",   "port", "pmem",  "ram",  "block/"};
  return std::any_of(std::begin(kDevices), std::end(kDevices),
                     [name](std::string_view device) { return name.starts_with(device); });
}

}  // namespace calm::shell
