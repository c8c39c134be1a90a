// What every built plugin looks like from outside, without loading it.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/layout/tree.hpp"

namespace calm::layout {
namespace {

std::vector<fs::path> plugins() {
  std::vector<fs::path> found;
  for (const auto &entry : fs::directory_iterator(CALM_TEST_PLUGINS)) {
    if (entry.path().extension() == ".so") found.push_back(entry.path());
  }
  return found;
}

TEST(Plugins, EachExportsOneSymbol) {
  ASSERT_FALSE(plugins().empty());
  for (const fs::path &plugin : plugins()) {
    std::string output;
    const std::string nm = shell_quote(CALM_TEST_NM);
    ASSERT_EQ(run(nm + " -D --defined-only -P " + shell_quote(plugin.string()), output), 0);
    std::istringstream lines(output);
    std::vector<std::string> symbols;
    for (std::string line; std::getline(lines, line);) {
      symbols.push_back(line.substr(0, line.find(' ')));
    }
    EXPECT_EQ(symbols, std::vector<std::string>{"calm_plugin_query"}) << plugin;
  }
}

TEST(Plugins, NoneCarriesAPathOfTheMachineThatBuiltIt) {
  for (const fs::path &plugin : plugins()) {
    std::string output;
    ASSERT_EQ(run("readelf -d " + shell_quote(plugin.string()), output), 0) << output;
    EXPECT_NE(output.find("(RUNPATH)            Library runpath: [$ORIGIN/../lib]\n"),
              std::string::npos)
        << plugin << "\n"
        << output;
    EXPECT_EQ(output.find("(TEXTREL)"), std::string::npos) << plugin;
    EXPECT_NE(output.find("BIND_NOW"), std::string::npos) << plugin;
  }
}

// Everybody loads them, to ask; what a vendor's library does when it is loaded, or cannot be found,
// must not be everybody's.
TEST(Plugins, NoneIsLinkedWithALibraryOfAVendor) {
  for (const fs::path &plugin : plugins()) {
    std::string output;
    ASSERT_EQ(run("readelf -d " + shell_quote(plugin.string()) + " | grep NEEDED", output), 0);
    for (const char *vendor : {"cuda", "cublas", "nccl", "dnnl", "vulkan", "mpi"}) {
      EXPECT_EQ(output.find(vendor), std::string::npos) << plugin << "\n" << output;
    }
    // Nor with NVIDIA's runtime as a static library, which names itself in its messages.
    EXPECT_NE(run("grep -aqi cudart " + shell_quote(plugin.string()), output), 0) << plugin;
  }
}

TEST(Plugins, LibrariesBesideThemOpenWhatNvidiaMakesAndAreNotLinkedWithIt) {
  const fs::path engine = fs::path(CALM_TEST_PLUGINS).parent_path() / "cuda_engine.so";
  if (!fs::exists(engine)) {
    GTEST_SKIP() << "skipped: this build has no cuda backend";
  }
  std::string output;
  ASSERT_EQ(run("readelf -d " + shell_quote(engine.string()) + " | grep NEEDED", output), 0);
  for (const char *name : {"cuda", "cublas", "nccl"}) {
    EXPECT_EQ(output.find(name), std::string::npos) << output;
  }
}

TEST(Plugins, EachStatesWhatItProvidesInANoteOfALoadedSegment) {
  for (const fs::path &plugin : plugins()) {
    std::string output;
    ASSERT_EQ(run("readelf -lW " + shell_quote(plugin.string()), output), 0) << output;
    const std::size_t mapping = output.find("Section to Segment mapping");
    ASSERT_NE(mapping, std::string::npos);
    EXPECT_NE(output.find(".note.calm", mapping), std::string::npos) << plugin;
    ASSERT_EQ(run("readelf -n " + shell_quote(plugin.string()), output), 0) << output;
    EXPECT_EQ(output.find("Corrupt note"), std::string::npos) << output;
    EXPECT_NE(output.find("in: .note.calm\n"), std::string::npos) << output;
    EXPECT_NE(output.find("\n  calm "), std::string::npos) << output;
  }
}

}  // namespace
}  // namespace calm::layout
