// The four old names as programs: standard output and exit codes of the reference's (spec N).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

namespace fs = std::filesystem;

class OldNames : public testing::Test {
 protected:
  struct Answer {
    int exit = -1;
    std::string out, err;
  };

  // Runs the link beside the program, in a folder of its own, on the backend whose sums have the
  // order of the goldens.
  Answer run(const std::string &name, std::vector<std::string> argv,
             const std::string &input = {}) {
    argv.insert(argv.begin(), (fs::path(CALM_TEST_PROGRAM).parent_path() / name).string());
    folder_.write("in", input);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto open = [](const std::string &path, int flags, int as) {
        ::dup2(::open(path.c_str(), flags, 0600), as);
      };
      open(folder_.path("in"), O_RDONLY, STDIN_FILENO);
      open(folder_.path("out"), O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
      open(folder_.path("err"), O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
      ::setenv("HOME", folder_.path().c_str(), 1);
      ::unsetenv("XDG_CONFIG_HOME");
      ::setenv("CALM_BACKEND", "reference", 1);
      std::vector<char *> words;
      for (std::string &word : argv) words.push_back(word.data());
      words.push_back(nullptr);
      if (::chdir(folder_.path().c_str()) == 0) ::execv(words[0], words.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            calm_test::read_bytes(folder_.path("out")), calm_test::read_bytes(folder_.path("err"))};
  }

  static std::string without_times(const std::string &text) {
    const std::string rates = std::regex_replace(
        text, std::regex("in [0-9.]+s \\([0-9.]+ tok/s\\)"), "in <time>s (<rate> tok/s)");
    return std::regex_replace(rates, std::regex("\\([0-9.]+s\\)"), "(<time>s)");
  }

  static std::string replace_all(std::string text, const std::string &what, const std::string &by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
      text.replace(at, what.size(), by);
      at += by.size();
    }
    return text;
  }

  // A training run of a golden trace: its log, line by line, and the weights it ends with.
  void expect_trace(const std::string &name, const std::string &golden, double atol) {
    std::vector<std::string> argv;
    for (const nlohmann::json &word : json(golden + "/trace.json", "argv")) {
      const std::string text = word.get<std::string>();
      const bool here = fs::exists(path(golden + "/" + text));
      argv.push_back(text[0] == '-' ? text : path(here ? golden + "/" + text : text));
    }
    argv.insert(argv.end(), {"--save-dir", "run"});
    const Answer answer = run(name, argv);
    EXPECT_EQ(answer.exit, 0) << answer.err;
    EXPECT_EQ(answer.err, "");
    std::string want = json(golden + "/trace.json", "log").get<std::string>();
    want = replace_all(replace_all(want, "<golden>/", path("")), "<save-dir>", "run");
    EXPECT_EQ(without_times(answer.out), want);
    for (const nlohmann::json &checkpoint : json(golden + "/trace.json", "checkpoints")) {
      EXPECT_TRUE(fs::exists(folder_.path("run/checkpoints/" + checkpoint.get<std::string>())));
    }
    const run::LoadedModel got =
        run::load_model(model_test::runtime(), folder_.path("run/model.cwgt"));
    const run::LoadedModel final =
        run::load_model(model_test::runtime(), path(golden + "/final.cwgt"));
    for (std::uint32_t i = 0; i < final.model->layout().params().size(); ++i) {
      expect_close(got.weights->of(i), final.weights->of(i), {0, atol},
                   final.model->layout().param(i).name);
    }
  }

  calm_test::TempFolder folder_;
};

TEST_F(OldNames, InferencePrintsWhatTheReferencePrints) {
  for (const nlohmann::json &c : json("pico_cli.json", "cases")) {
    std::vector<std::string> argv = {"-m", path(c.at("model").get<std::string>())};
    for (const nlohmann::json &word : c.at("argv")) argv.push_back(word.get<std::string>());
    const Answer answer = run("calm-inference", argv, c.at("stdin").get<std::string>());
    EXPECT_EQ(answer.exit, c.at("exit").get<int>()) << c.at("argv");
    EXPECT_EQ(without_times(answer.out), c.at("stdout").get<std::string>()) << c.at("argv");
    // Where the reference dies of an exception we say why.
    EXPECT_EQ(!answer.err.empty(),
              !c.at("uncaught").is_null() || c.at("stderr_nonempty").get<bool>())
        << c.at("argv") << answer.err;
  }
}

TEST_F(OldNames, TextToCtdsPrintsAndWritesWhatTheReferenceDoes) {
  fs::create_directory(folder_.path("ctds"));
  fs::create_directory_symlink(path("text"), folder_.path("text"));
  for (const nlohmann::json &c : json("text2ctds.json", "cases")) {
    const Answer answer = run("calm-text-to-ctds", c.at("argv").get<std::vector<std::string>>());
    EXPECT_EQ(answer.exit, c.at("exit").get<int>()) << c.at("argv");
    EXPECT_EQ(answer.out, c.at("stdout").get<std::string>()) << c.at("argv");
    EXPECT_EQ(answer.err.empty(), answer.exit == 0) << c.at("argv") << answer.err;
    for (const nlohmann::json &output : c.at("outputs")) {
      const std::string name = output.get<std::string>();
      EXPECT_EQ(calm_test::read_bytes(folder_.path(name)), bytes(name)) << c.at("argv");
    }
  }
}

TEST_F(OldNames, TrainFollowsTheReferencesLog) {
  expect_trace("calm-train", "train_adamw20", 2e-5);
}

TEST_F(OldNames, TrainWithAccumulationEwcAndValidationFollowsTheReferencesLog) {
  expect_trace("calm-train", "train_accum_ewc", 2e-5);
}

TEST_F(OldNames, TrainContrastiveFollowsTheReferencesLog) {
  expect_trace("calm-train-contrastive", "contrastive_pico", 5e-5);
}

}  // namespace
}  // namespace calm::golden
