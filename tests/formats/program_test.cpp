// The variants as files, each given to the program: the exit code its judgement asks for, no
// signal, bounded memory. Special files too.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <calm/cpp/error.hpp>

#include "support.hpp"
#include "variants.hpp"

namespace calm::formats_test {
namespace {

namespace fs = std::filesystem;

// Only a hang takes so long; a run takes a hundredth of it.
constexpr unsigned kAlarmSeconds = 30;
constexpr long kMaxRssKib = 256 * 1024;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kInstrumented = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif
#else
constexpr bool kInstrumented = false;
#endif

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "calm-variants-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw Error(CALM_IO, "no temporary folder");
    }
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  std::string file(const std::string &name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

struct Ended {
  int code = -1;      // of exit, or -1
  int signal = 0;     // that ended it, or 0
  long rss_kib = 0;   // at most
  std::string error;  // what it wrote to the error stream
};

// In the child: what the program runs under.
[[noreturn]] void become(const std::vector<std::string> &arguments, int error_file) {
  const rlimit memory{rlim_t{2} << 30, rlim_t{2} << 30};
  if (!kInstrumented) {
    ::setrlimit(RLIMIT_AS, &memory);
  }
  // The plugins of whoever runs this test are none of its business.
  ::setenv("HOME", "/", 1);
  ::unsetenv("XDG_DATA_HOME");
  ::unsetenv("CALM_PLUGIN_PATH");
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, 0);
  ::dup2(null, 1);
  ::dup2(error_file, 2);
  std::vector<char *> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string &argument : arguments) {
    argv.push_back(const_cast<char *>(argument.c_str()));
  }
  argv.push_back(nullptr);
  ::alarm(kAlarmSeconds);  // kept across exec; ends the program by a signal
  ::execv(argv[0], argv.data());
  ::_exit(126);
}

Ended run(const Folder &folder, const std::vector<std::string> &arguments) {
  const std::string log = folder.file("stderr");
  const int error_file = ::open(log.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const pid_t child = ::fork();
  if (child == 0) {
    become(arguments, error_file);
  }
  ::close(error_file);
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  Ended ended;
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  ended.rss_kib = usage.ru_maxrss;
  std::ifstream in(log);
  ended.error.assign(std::istreambuf_iterator<char>(in), {});
  return ended;
}

void expect_clean(const Ended &ended, int code) {
  EXPECT_EQ(ended.signal, 0) << ended.error;
  EXPECT_EQ(ended.code, code) << ended.error;
  if (!kInstrumented) {
    EXPECT_LT(ended.rss_kib, kMaxRssKib);
  }
  if (code != 0) {
    const auto lines = std::count(ended.error.begin(), ended.error.end(), '\n');
    EXPECT_EQ(lines, 1) << ended.error;
    EXPECT_EQ(ended.error.rfind("calm: ", 0), 0u) << ended.error;
  }
}

struct Group {
  const char *extension;
  std::vector<Variant> (*variants)();
};

class Program : public testing::TestWithParam<Group> {};

TEST_P(Program, EndsWithTheCodeOfTheJudgement) {
  const Folder folder;
  const std::string file = folder.file(std::string("variant.") + GetParam().extension);
  for (const Variant &v : GetParam().variants()) {
    SCOPED_TRACE(v.name);
    std::ofstream(file, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char *>(v.file.data()),
               static_cast<std::streamsize>(v.file.size()));
    expect_clean(run(folder, {CALM_TEST_PROGRAM, "info", file}), exit_code(v.status));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Program,
                         testing::Values(Group{"cwgt", cwgt_variants}, Group{"ctds", ctds_variants},
                                         Group{"safetensors", safetensors_variants}),
                         [](const auto &group) { return std::string(group.param.extension); });

TEST(SpecialFiles, AreInputErrorsOfTheSystem) {
  const Folder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mkdir(folder.file("folder.cwgt").c_str(), 0700), 0);
  fs::create_symlink("loop.cwgt", folder.file("loop.cwgt"));
  fs::create_symlink("nowhere", folder.file("dangling.cwgt"));
  const std::string files[] = {folder.file("pipe"),
                               folder.file("folder.cwgt"),
                               folder.file("loop.cwgt"),
                               folder.file("missing.cwgt"),
                               folder.file("dangling.cwgt"),
                               folder.file("folder.cwgt/x"),
                               folder.file(std::string(300, 'x')),
                               "/dev/zero",
                               "/dev/null",
                               "/proc/self/mem"};
  const int io = exit_code(CALM_IO);
  for (const std::string &file : files) {
    SCOPED_TRACE(file);
    const int code = file == "/proc/self/mem" ? exit_code(CALM_CORRUPT_DATA) : io;
    expect_clean(run(folder, {CALM_TEST_PROGRAM, "info", file}), code);
    expect_clean(run(folder, {CALM_TEST_PROGRAM, "generate", "-m", file, "-i", "a"}), code);
    expect_clean(run(folder, {CALM_TEST_PROGRAM, "dataset", "show", file}), code);
  }
}

TEST(SpecialFiles, AFileThatMayNotBeReadIsAnInputErrorOfTheSystem) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "the superuser reads everything";
  }
  const Folder folder;
  const std::string file = folder.file("secret.cwgt");
  std::ofstream(file) << "CWGT";
  ASSERT_EQ(::chmod(file.c_str(), 0), 0);
  expect_clean(run(folder, {CALM_TEST_PROGRAM, "info", file}), exit_code(CALM_IO));
}

}  // namespace
}  // namespace calm::formats_test
