// The arrows between rooms: frontends -> core -> sdk <- backends, sdk <- plugins. Nothing else.
#include <gtest/gtest.h>

#include <iterator>
#include <set>

#include "tests/layout/tree.hpp"

namespace calm::layout {
namespace {

const std::vector<std::string> kSources = {".h", ".hpp", ".c", ".cpp", ".cu", ".cuh", ".comp"};
const std::set<std::string> kRooms = {"sdk",       "core",  "backends", "plugins",
                                      "frontends", "tests", "bench"};

std::string place(const fs::path &file, std::size_t line) {
  return file.lexically_relative(root()).string() + ":" + std::to_string(line);
}

// The room an include names from the repository root, or nothing.
std::string room_of(const Include &include) {
  const std::string first = include.target.substr(0, include.target.find('/'));
  const bool has_folder = first.size() < include.target.size();
  return has_folder && kRooms.count(first) != 0 ? first : "";
}

// Each include of `room` that names a room from the root names one of `allowed`.
void expect_only(const std::string &room, const std::set<std::string> &allowed) {
  for (const fs::path &file : files_in(room, kSources)) {
    for (const Include &include : includes_of(file)) {
      const std::string named = room_of(include);
      EXPECT_TRUE(named.empty() || allowed.count(named) != 0)
          << place(file, include.line) << " includes " << include.target;
      EXPECT_TRUE(!include.quoted || include.target.rfind("calm/", 0) != 0)
          << place(file, include.line) << ": the sdk is included as <calm/...>";
    }
  }
}

// A quoted include stays in the folder `depth` levels below the root that its file is in.
void expect_own_folder(const std::string &room, int depth) {
  for (const fs::path &file : files_in(room, kSources)) {
    const fs::path inside = file.lexically_relative(root());
    fs::path own = root();
    auto part = inside.begin();
    for (int i = 0; i < depth && part != inside.end(); ++i) own /= *part++;
    for (const Include &include : includes_of(file)) {
      if (!include.quoted) continue;
      const fs::path target = (file.parent_path() / include.target).lexically_normal();
      const bool from_own_root =
          fs::exists(own / include.target) && include.target.find("..") == std::string::npos;
      const std::string relative = target.lexically_relative(own).string();
      EXPECT_TRUE(from_own_root || relative.rfind("..", 0) != 0)
          << place(file, include.line) << " leaves its folder by " << include.target;
    }
  }
}

TEST(Rooms, TheSdkDependsOnNothing) {
  expect_only("sdk", {});
  for (const fs::path &file : files_in("sdk/include", kSources)) {
    for (const Include &include : includes_of(file)) {
      const bool own = include.target.rfind("calm/", 0) == 0;
      EXPECT_TRUE(own || include.target.find('/') == std::string::npos)
          << place(file, include.line) << " includes " << include.target;
      EXPECT_FALSE(include.quoted)
          << place(file, include.line) << ": expected <" << include.target << ">";
    }
  }
}

TEST(Rooms, SdkCHeadersIncludeOnlyFreestandingCAndCalm) {
  static const std::set<std::string> kAllowed = {"stddef.h", "stdint.h", "limits.h",
                                                 "float.h",  "math.h",   "string.h"};
  for (const fs::path &file : files_in("sdk/include", {".h"})) {
    for (const Include &include : includes_of(file)) {
      const bool own = include.target.rfind("calm/", 0) == 0;
      EXPECT_TRUE(own || kAllowed.count(include.target) != 0)
          << place(file, include.line) << " includes " << include.target;
      EXPECT_NE(fs::path(include.target).extension(), ".hpp") << place(file, include.line);
    }
  }
}

TEST(Rooms, TheCoreSeesOnlyItselfAndTheSdk) { expect_only("core", {"core"}); }

TEST(Rooms, FrontendsSeeOnlyTheCoreAndTheSdk) { expect_only("frontends", {"core", "frontends"}); }

TEST(Rooms, APluginSeesOnlyItsOwnFolderAndTheSdk) {
  expect_only("plugins", {});
  expect_own_folder("plugins", 3);
}

// "reference/…" is the one backend that others may build on.
TEST(Rooms, ABackendSeesOnlyItsOwnFolderTheReferenceAndTheSdk) {
  expect_only("backends", {});
  std::set<std::string> backends;
  for (const auto &entry : fs::directory_iterator(root() / "backends")) {
    if (entry.is_directory()) backends.insert(entry.path().filename().string());
  }
  for (const fs::path &file : files_in("backends", kSources)) {
    const std::string own = *std::next(file.lexically_relative(root()).begin());
    const fs::path folder = root() / "backends" / own;
    for (const Include &include : includes_of(file)) {
      if (!include.quoted) continue;
      const std::string first = *fs::path(include.target).begin();
      const fs::path beside = (file.parent_path() / include.target).lexically_normal();
      const bool stays =
          fs::exists(beside) && beside.lexically_relative(folder).string().rfind("..", 0) != 0;
      const bool allowed = backends.count(first) != 0
                               ? (first == own || first == "reference") &&
                                     include.target.find("..") == std::string::npos
                               : stays || fs::exists(folder / include.target);
      EXPECT_TRUE(allowed) << place(file, include.line) << " leaves its folder by "
                           << include.target;
    }
  }
}

TEST(Rooms, TestsAndBenchmarksMeetPluginsOnlyByLoadingThem) {
  const std::set<std::string> allowed = {"core", "sdk", "frontends", "tests", "bench"};
  expect_only("tests", allowed);
  expect_only("bench", allowed);
}

TEST(Rooms, TheTopLevelHoldsTheSevenRoomsAndLooseFiles) {
  // Hidden folders belong to tools; the last three are made by us and ignored by git.
  static const std::set<std::string> kMade = {"build", "demo", "runs"};
  for (const auto &entry : fs::directory_iterator(root())) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name[0] == '.' || kMade.count(name) != 0) continue;
    EXPECT_EQ(kRooms.count(name), 1u) << "unexpected folder " << name;
  }
  for (const std::string &room : kRooms) EXPECT_TRUE(fs::is_directory(root() / room)) << room;
}

TEST(Rooms, NoFileIsLongerThan800Lines) {
  const std::vector<std::string> text = {".h",  ".hpp",   ".c",  ".cpp", ".cu",   ".cuh", ".comp",
                                         ".sh", ".cmake", ".md", ".txt", ".test", ".json"};
  for (const std::string &room : kRooms) {
    for (const fs::path &file : files_in(room, text)) {
      // Data of tests is made by programs and read by programs.
      if (room == "tests" && file.string().find("/data/") != std::string::npos) continue;
      EXPECT_LE(lines_of(file).size(), 800u) << place(file, 1);
    }
  }
}

TEST(Rooms, NothingIsBuiltWithFastMath) {
  const std::vector<std::string> build = {".txt", ".cmake", ".json", ".h", ".hpp", ".c", ".cpp"};
  for (const std::string &room : kRooms) {
    for (const fs::path &file : files_in(room, build)) {
      if (file.string().find("/layout/") != std::string::npos) continue;
      const std::vector<std::string> lines = lines_of(file);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].find('#') == 0) continue;  // a comment of CMake may warn of it
        for (const char *flag : {"-ffast-math", "-ffinite-math-only", "-Ofast", "fast-math\""}) {
          EXPECT_EQ(lines[i].find(flag), std::string::npos) << place(file, i + 1) << ": " << flag;
        }
      }
    }
  }
}

}  // namespace
}  // namespace calm::layout
