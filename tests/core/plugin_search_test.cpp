#include "core/plugin/search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <calm/cpp/error.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/core/temp_folder.hpp"

namespace {

namespace fs = std::filesystem;

using calm::SearchOptions;
using calm::SearchResult;
using calm_test::TempFolder;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> paths(const SearchResult &result) {
  std::vector<std::string> all;
  for (const calm::SearchFile &file : result.files) {
    all.push_back(file.path);
  }
  return all;
}

SearchOptions only(const std::string &folder) {
  SearchOptions options;
  options.plugin_path = {folder};
  return options;
}

std::string refusal(const SearchOptions &options) {
  try {
    calm::search_plugins(options);
  } catch (const calm::Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    return e.what();
  }
  return {};
}

TEST(PluginSearch, LooksInTheFoldersInTheirOrder) {
  const TempFolder folder;
  for (const char *name : {"flag", "env1", "env2", "prefix/lib/calm/plugins", "user"}) {
    fs::create_directories(folder.path(name));
    folder.write(std::string(name) + "/b.so", "");
    folder.write(std::string(name) + "/a.so", "");
    folder.write(std::string(name) + "/README", "");
  }
  SearchOptions options;
  options.plugin_path = {folder.path("flag")};
  options.environment = folder.path("env1") + ":" + folder.path("env2");
  options.prefix = folder.path("prefix");
  options.user = folder.path("user");
  const SearchResult result = calm::search_plugins(options);
  EXPECT_THAT(paths(result), ElementsAre(folder.path("flag/a.so"), folder.path("flag/b.so"),
                                         folder.path("env1/a.so"), folder.path("env1/b.so"),
                                         folder.path("env2/a.so"), folder.path("env2/b.so"),
                                         folder.path("prefix/lib/calm/plugins/a.so"),
                                         folder.path("prefix/lib/calm/plugins/b.so"),
                                         folder.path("user/a.so"), folder.path("user/b.so")));
  ASSERT_EQ(result.folders.size(), 5u);
  EXPECT_EQ(result.folders[1].source, "CALM_PLUGIN_PATH");
  EXPECT_EQ(result.folders[3].source, "installation");
}

TEST(PluginSearch, ListsAFileOnceHoweverManyWaysLeadToIt) {
  const TempFolder folder;
  folder.write("a.so", "");
  fs::create_symlink(folder.path("a.so"), folder.path("b.so"));
  SearchOptions options = only(folder.path());
  options.environment = folder.path() + "/.";
  EXPECT_THAT(paths(calm::search_plugins(options)), ElementsAre(folder.path("a.so")));
}

TEST(PluginSearch, RelativeAndEmptyEntriesAreErrorsThatNameThem) {
  EXPECT_THAT(refusal(only("build/plugins")),
              HasSubstr("--plugin-path: expected an absolute folder, "
                        "found \"build/plugins\""));
  EXPECT_THAT(refusal(only("")), HasSubstr("empty entry"));
  for (const char *list : {"/a::/b", ":/a", "/a:", ":"}) {
    SearchOptions options;
    options.environment = list;
    EXPECT_THAT(refusal(options), HasSubstr("CALM_PLUGIN_PATH")) << list;
    EXPECT_THAT(refusal(options), HasSubstr("empty entry")) << list;
  }
  SearchOptions options;
  options.environment = "/a:.";
  EXPECT_THAT(refusal(options), HasSubstr("found \".\""));
}

TEST(PluginSearch, AnUnsetOrEmptyVariableIsNoFolder) {
  SearchOptions options;
  options.environment = "";
  EXPECT_TRUE(calm::search_plugins(options).folders.empty());
  EXPECT_TRUE(calm::search_plugins({}).folders.empty());
}

TEST(PluginSearch, SkipsFilesOthersMayWrite) {
  const TempFolder folder;
  folder.write("fine.so", "");
  fs::permissions(folder.write("group.so", ""), fs::perms(0664));
  fs::permissions(folder.write("world.so", ""), fs::perms(0646));
  const SearchResult result = calm::search_plugins(only(folder.path()));
  ASSERT_EQ(result.files.size(), 3u);
  EXPECT_EQ(result.files[0].skipped, "");
  EXPECT_EQ(result.files[1].skipped,
            folder.path("group.so") + " is writable by its group (chmod go-w it)");
  EXPECT_EQ(result.files[2].skipped,
            folder.path("world.so") + " is writable by everyone (chmod go-w it)");
}

TEST(PluginSearch, SkipsFoldersOthersMayWriteAndThoseBelow) {
  const TempFolder folder;
  fs::create_directories(folder.path("open/inner"));
  folder.write("open/a.so", "");
  folder.write("open/inner/b.so", "");
  for (const int mode : {0775, 0757, 01777}) {
    fs::permissions(folder.path("open"), fs::perms(mode));
    const SearchResult outer = calm::search_plugins(only(folder.path("open")));
    EXPECT_TRUE(outer.files.empty()) << mode;
    EXPECT_THAT(outer.folders[0].skipped, HasSubstr("is writable by")) << mode;
    // In a sticky folder others cannot replace what is ours.
    const SearchResult inner = calm::search_plugins(only(folder.path("open/inner")));
    EXPECT_EQ(inner.files.size(), mode == 01777 ? 1u : 0u) << mode;
  }
}

TEST(PluginSearch, AboveTheInstallationPrefixNothingIsLookedAt) {
  const TempFolder folder;
  fs::create_directories(folder.path("open/prefix/lib/calm/plugins"));
  folder.write("open/prefix/lib/calm/plugins/a.so", "");
  fs::permissions(folder.path("open"), fs::perms(0777));
  SearchOptions options;
  options.prefix = folder.path("open/prefix");
  EXPECT_EQ(calm::search_plugins(options).files.size(), 1u);
  fs::permissions(folder.path("open/prefix/lib/calm"), fs::perms(0777));
  EXPECT_EQ(calm::search_plugins(options).files.size(), 0u);
}

TEST(PluginSearch, SkipsWhatBelongsToSomebodyElse) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  const TempFolder folder;
  const std::string path = folder.write("a.so", "");
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  EXPECT_THAT(calm::search_plugins(only(folder.path())).files[0].skipped,
              HasSubstr("belongs to user 12345"));
  ASSERT_EQ(::chown(folder.path().c_str(), 12345, 12345), 0);
  EXPECT_THAT(calm::search_plugins(only(folder.path())).folders[0].skipped,
              HasSubstr("belongs to user 12345"));
}

TEST(PluginSearch, ALinkIsJudgedByWhereItLeads) {
  const TempFolder folder;
  fs::create_directories(folder.path("plugins"));
  fs::create_directories(folder.path("open"));
  folder.write("open/a.so", "");
  fs::permissions(folder.path("open"), fs::perms(0777));
  fs::create_symlink(folder.path("open/a.so"), folder.path("plugins/a.so"));
  fs::create_symlink(folder.path("nowhere.so"), folder.path("plugins/b.so"));
  const SearchResult result = calm::search_plugins(only(folder.path("plugins")));
  ASSERT_EQ(result.files.size(), 2u);
  EXPECT_EQ(result.files[0].path, folder.path("open/a.so"));
  EXPECT_THAT(result.files[0].skipped, HasSubstr("open is writable by everyone"));
  EXPECT_THAT(result.files[1].skipped, HasSubstr("No such file"));
}

TEST(PluginSearch, TellsOfANamedFolderThatIsMissing) {
  const TempFolder folder;
  folder.write("file", "");
  SearchOptions options = only(folder.path("none"));
  options.plugin_path.push_back(folder.path("file"));
  options.user = folder.path("neither");
  const SearchResult result = calm::search_plugins(options);
  EXPECT_EQ(result.folders[0].skipped, "No such file or directory");
  EXPECT_FALSE(result.folders[0].absent);
  EXPECT_EQ(result.folders[1].skipped, "not a folder");
  EXPECT_TRUE(result.folders[2].absent);
}

TEST(PluginSearch, TheDefaultsLeadFromTheProgramNotTheWorkingFolder) {
  const SearchOptions options = calm::default_search({"/x"});
  const fs::path program = fs::read_symlink("/proc/self/exe");
  EXPECT_EQ(options.prefix, program.parent_path().parent_path().string());
  EXPECT_THAT(options.plugin_path, ElementsAre("/x"));
}

class PluginSearchEnvironment : public testing::Test {
 protected:
  void SetUp() override {
    for (const char *name : kNames) {
      const char *value = ::getenv(name);
      saved_.push_back(value == nullptr ? "" : value);
    }
  }
  void TearDown() override {
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      saved_[i].empty() ? ::unsetenv(kNames[i]) : ::setenv(kNames[i], saved_[i].c_str(), 1);
    }
  }

 private:
  static constexpr const char *kNames[] = {"XDG_DATA_HOME", "HOME", "CALM_PLUGIN_PATH"};
  std::vector<std::string> saved_;
};

TEST_F(PluginSearchEnvironment, TheUsersFolderFollowsTheBaseDirectorySpecification) {
  ::setenv("HOME", "/home/ann", 1);
  ::setenv("XDG_DATA_HOME", "/data", 1);
  EXPECT_EQ(calm::default_search().user, "/data/calm/plugins");
  ::setenv("XDG_DATA_HOME", "relative", 1);
  EXPECT_EQ(calm::default_search().user, "/home/ann/.local/share/calm/plugins");
  ::unsetenv("XDG_DATA_HOME");
  ::setenv("HOME", "", 1);
  EXPECT_EQ(calm::default_search().user, "");
  ::setenv("CALM_PLUGIN_PATH", "/a:/b", 1);
  EXPECT_EQ(calm::default_search().environment, "/a:/b");
  ::unsetenv("CALM_PLUGIN_PATH");
  EXPECT_EQ(calm::default_search().environment, std::nullopt);
}

}  // namespace
