#include "core/plugin/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>

#include <calm/cpp/error.hpp>
#include <chrono>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/log.hpp"
#include "core/plugin/probe.hpp"
#include "tests/core/temp_folder.hpp"

namespace {

namespace fs = std::filesystem;

using calm::PluginRegistry;
using calm_test::TempFolder;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string fixture(const std::string &name) {
  return std::string(CALM_TEST_FIXTURES) + "/" + name + ".so";
}

// Warnings are expected here; they are looked at through the registry.
class Registry : public testing::Test {
 public:
  Registry() { calm::set_log_level(CALM_LOG_ERROR); }
  ~Registry() override { calm::set_log_level(CALM_LOG_INFO); }

 protected:
  // Copies a fixture, as `name`.so.
  std::string install(const std::string &fixture_name, const std::string &name = {}) const {
    return folder_.write((name.empty() ? fixture_name : name) + ".so",
                         calm_test::read_bytes(fixture(fixture_name)));
  }

  calm::SearchOptions options() const {
    calm::SearchOptions options;
    options.plugin_path = {folder_.path()};
    return options;
  }

  const TempFolder folder_;
};

template <class Body>
calm::Error failure(Body &&body) {
  try {
    body();
  } catch (const calm::Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

TEST_F(Registry, ListsWhatPluginsProvideWithoutLoadingThem) {
  const std::string path = install("good");
  // Loading this one would fail.
  install("unresolved");
  const PluginRegistry registry(options());
  EXPECT_THAT(registry.files(), SizeIs(2));
  EXPECT_THAT(registry.ids("format"), ElementsAre("good", "unresolved"));
  const std::vector<calm::ProvidedItem> domains = registry.provided("domain");
  ASSERT_THAT(domains, SizeIs(1));
  EXPECT_EQ(domains[0].id, "good");
  EXPECT_EQ(domains[0].revision, 1u);
  EXPECT_EQ(domains[0].plugin, "fixture.good");
  EXPECT_EQ(domains[0].path, path);
  EXPECT_EQ(domains[0].abi, CALM_ABI_CURRENT);
  EXPECT_TRUE(registry.has("operator", "twice"));
  EXPECT_FALSE(registry.has("operator", "thrice"));
  EXPECT_THAT(registry.warnings(), IsEmpty());
}

TEST_F(Registry, AKindThatIsNotKnownHereIsPassedOver) {
  install("good");
  PluginRegistry registry(options());
  EXPECT_THAT(registry.provided(), SizeIs(4));
  EXPECT_FALSE(registry.has("theme", "dark"));
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

TEST_F(Registry, GivesTablesOfThisHostsSizeWithStubsForWhatIsMissing) {
  const std::string path = install("good");
  PluginRegistry registry(options());
  const calm_format &format = registry.format("good");
  EXPECT_EQ(format.size, sizeof(calm_format));
  EXPECT_EQ(calm::view(format.extension), "good");
  calm_error error{};
  EXPECT_EQ(format.open(nullptr, nullptr, nullptr, &error), CALM_UNSUPPORTED);
  EXPECT_EQ(std::string(error.message),
            "format \"good\" of " + path + ": open is not provided by the plugin");
  EXPECT_EQ(format.document(nullptr)->tensors.count, 0u);
  format.close(nullptr);
  EXPECT_EQ(&registry.format("good"), &format);
  double rate = 0;
  calm::call(registry.trainer("good").learning_rate, nullptr, 0u, 1u, 4u, &rate);
  EXPECT_EQ(rate, 0.25);
  ASSERT_THAT(registry.warnings(), SizeIs(2));
  EXPECT_THAT(registry.warnings()[0], HasSubstr("format \"good\""));
  EXPECT_THAT(registry.warnings()[0],
              HasSubstr("does not provide open, document, read, close, write"));
}

TEST_F(Registry, AnOlderPluginsShortTableIsCompletedInSilence) {
  install("older");
  PluginRegistry registry(options());
  const calm_backend &backend = registry.backend("older");
  std::uint32_t devices = 0;
  EXPECT_EQ(backend.devices(&devices, nullptr), CALM_OK);
  EXPECT_EQ(devices, 3u);
  // Beyond the size the table claims: never the plugin's.
  backend.close(nullptr);
  EXPECT_EQ(backend.score(CALM_WORKLOAD_TRAIN), 0u);
  calm_error error{};
  EXPECT_EQ(backend.run(nullptr, nullptr, nullptr, 0, nullptr, &error), CALM_UNSUPPORTED);
  EXPECT_THAT(error.message, HasSubstr("older.so: run is not provided by the plugin"));
  EXPECT_EQ(registry.format("older").probe("", 0, 0), 0u);
  EXPECT_THAT(registry.warnings(), ElementsAre(HasSubstr("does not provide device")));
}

TEST_F(Registry, OptionalSlotsStayNull) {
  install("good");
  PluginRegistry registry(options());
  const calm_domain &domain = registry.domain("good");
  EXPECT_EQ(domain.import, nullptr);
  EXPECT_EQ(domain.gather_context, nullptr);
  EXPECT_EQ(domain.filter, nullptr);
  const calm_operator *twice = registry.find_operator("twice", 1);
  ASSERT_NE(twice, nullptr);
  EXPECT_EQ(twice->gradient, nullptr);
  EXPECT_NE(twice->cost, nullptr);
  EXPECT_EQ(registry.find_operator("twice", 2), nullptr);
}

TEST_F(Registry, AnOperatorOfAPluginMustBringALowering) {
  install("good");
  install("older");
  PluginRegistry registry(options());
  const std::vector<calm::OperatorEntry> operators = registry.operators();
  ASSERT_THAT(operators, SizeIs(1));
  EXPECT_EQ(operators[0].id, "twice");
  EXPECT_NE(operators[0].table, nullptr);
  EXPECT_EQ(failure([&] { registry.find_operator("no_lowering", 1); }).status(), CALM_UNSUPPORTED);
  EXPECT_THAT(registry.warnings().back(), HasSubstr("expected a lowering"));
}

TEST_F(Registry, TellsDetailsOfAPlugin) {
  const std::string path = install("good");
  PluginRegistry registry(options());
  const calm::PluginDetails details = registry.details(path);
  EXPECT_EQ(details.version, "1.2.3");
  EXPECT_EQ(details.vendor, "nobody");
  EXPECT_EQ(details.license, "Apache-2.0");
  EXPECT_NE(details.compiler, "");
  EXPECT_EQ(failure([&] { registry.details("/elsewhere.so"); }).status(), CALM_NOT_FOUND);
}

TEST_F(Registry, AnUnknownNameGetsTheNearestAndThePlaces) {
  install("good");
  PluginRegistry registry(options());
  const calm::Error error = failure([&] { registry.format("goood"); });
  EXPECT_EQ(error.status(), CALM_NOT_FOUND);
  EXPECT_EQ(std::string(error.what()), "no format is named \"goood\"; there is good; looked in " +
                                           folder_.path() + "; did you mean \"good\"?");
  const calm::Error none = failure([&] { registry.backend("cuda"); });
  EXPECT_EQ(none.status(), CALM_UNAVAILABLE);
  EXPECT_EQ(
      std::string(none.what()),
      "no backend is named \"cuda\"; no plugin provides a backend; looked in " + folder_.path());
}

TEST_F(Registry, OfTwoPluginsWithOneNameTheFirstWinsWithAWarning) {
  const std::string first = install("good");
  const std::string second = install("good_again");
  PluginRegistry registry(options());
  EXPECT_EQ(registry.provided("format").size(), 1u);
  EXPECT_EQ(registry.files()[1].skipped, "the plugin id \"fixture.good\" is taken by " + first);
  EXPECT_THAT(registry.warnings(), ElementsAre("two plugins are named \"fixture.good\": " + first +
                                               " is used, " + second + " is not"));
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

TEST_F(Registry, OfTwoPluginsThatProvideOneThingTheFirstWinsWithAWarning) {
  const std::string first = install("rival", "a");
  const std::string second = install("good", "b");
  PluginRegistry registry(options());
  const std::vector<calm::ProvidedItem> formats = registry.provided("format");
  ASSERT_THAT(formats, SizeIs(2));
  EXPECT_EQ(formats[0].shadowed_by, "");
  EXPECT_EQ(formats[1].shadowed_by, first);
  ASSERT_THAT(registry.warnings(), SizeIs(1));
  EXPECT_THAT(registry.warnings()[0], HasSubstr(first));
  EXPECT_THAT(registry.warnings()[0], HasSubstr(second));
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 0u);
  EXPECT_EQ(calm::view(registry.domain("good").template_spec), "<BOS><EOS>");
}

TEST_F(Registry, SkipsFilesThatAreNoPluginsAndKeepsTheOthers) {
  install("good");
  folder_.write("text.so", "not a library\n");
  const std::string whole = calm_test::read_bytes(fixture("good"));
  folder_.write("torn.so", whole.substr(0, whole.size() / 2));
  fs::create_directory(folder_.path("folder.so"));
  fs::permissions(install("rival"), fs::perms(0664));
  PluginRegistry registry(options());
  ASSERT_THAT(registry.files(), SizeIs(5));
  EXPECT_THAT(registry.files()[0].skipped, HasSubstr("found a folder"));
  EXPECT_EQ(registry.files()[1].skipped, "");
  EXPECT_THAT(registry.files()[2].skipped, HasSubstr("writable by its group"));
  EXPECT_THAT(registry.files()[3].skipped, HasSubstr("no ELF magic"));
  EXPECT_THAT(registry.files()[4].skipped, HasSubstr("truncated"));
  EXPECT_THAT(failure([&] { registry.model("mamba"); }).what(), HasSubstr("4 files were skipped"));
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

TEST_F(Registry, APluginOfAnotherAbiIsSkippedWithBothVersions) {
  std::string bytes = calm_test::read_bytes(fixture("good"));
  const std::uint32_t abi = CALM_ABI(CALM_ABI_MAJOR + 1, 3);
  std::memcpy(bytes.data() + bytes.find("fixture.good\nformat:") - 8, &abi, sizeof abi);
  const std::string path = folder_.write("good.so", bytes);
  PluginRegistry registry(options());
  EXPECT_THAT(registry.files()[0].skipped,
              HasSubstr("made for plugin ABI 2.3, this program speaks 1."));
  const calm::Error error = failure([&] { registry.format("good"); });
  EXPECT_EQ(error.status(), CALM_NOT_FOUND);
  EXPECT_THAT(error.what(), HasSubstr(path + " was skipped: made for plugin ABI 2.3"));
}

TEST_F(Registry, ANewerMinorOfTheAbiIsAccepted) {
  std::string bytes = calm_test::read_bytes(fixture("good"));
  const std::uint32_t abi = CALM_ABI(CALM_ABI_MAJOR, CALM_ABI_MINOR + 7);
  std::memcpy(bytes.data() + bytes.find("fixture.good\nformat:") - 8, &abi, sizeof abi);
  folder_.write("good.so", bytes);
  PluginRegistry registry(options());
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

struct Lie {
  const char *fixture;
  calm_status status;
  const char *reason;
};

class LyingPlugin : public Registry, public testing::WithParamInterface<Lie> {};

TEST_P(LyingPlugin, IsNamedWithItsReasonAndOthersStillLoad) {
  const Lie &lie = GetParam();
  const std::string path = install(lie.fixture);
  install("good");
  PluginRegistry registry(options());
  const calm::Error error = failure([&] { registry.format(lie.fixture); });
  EXPECT_EQ(error.status(), lie.status) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(path + ": "));
  EXPECT_THAT(error.what(), HasSubstr(lie.reason));
  // Asked again, it says the same.
  EXPECT_STREQ(failure([&] { registry.format(lie.fixture); }).what(), error.what());
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

const Lie kLies[] = {
    {"no_entry", CALM_INTERNAL, "expected the symbol calm_plugin_query"},
    {"throws", CALM_INTERNAL, "threw an exception: thrown across the border"},
    {"refuses", CALM_VERSION, "the plugin refused this host: this plugin is waiting for ABI 9"},
    {"other_id", CALM_INTERNAL, "expected the plugin id \"fixture.other_id\" of its note"},
    {"more_than_noted", CALM_INTERNAL, "its descriptor provides format:unannounced/1"},
    {"less_than_noted", CALM_INTERNAL, "its note provides format:less_than_noted/1"},
    {"null_table", CALM_INTERNAL, "expected a table of functions, found null"},
    {"torn_table", CALM_INTERNAL, "expected a table size"},
    {"draft", CALM_VERSION, "uses draft interfaces"},
    {"endless_text", CALM_INTERNAL, "vendor: expected at most 4096 bytes"},
    {"unresolved", CALM_FAILED, "calm_fixture_function_of_a_library_that_is_not_there"},
    {"dependent", CALM_FAILED, "libcalm_fixture_absent.so: cannot open shared object file"},
};

INSTANTIATE_TEST_SUITE_P(Registry, LyingPlugin, testing::ValuesIn(kLies),
                         [](const auto &lie) { return std::string(lie.param.fixture); });

TEST_F(Registry, ALoadFailureIsRememberedInTheTable) {
  install("unresolved");
  PluginRegistry registry(options());
  EXPECT_EQ(registry.files()[0].load_error, "");
  failure([&] { registry.format("unresolved"); });
  EXPECT_THAT(registry.files()[0].load_error, HasSubstr("cannot load: "));
}

TEST_F(Registry, APluginThatSwitchesToFlushToZeroIsUndoneAndNamed) {
  const std::string path = install("flush_to_zero");
  PluginRegistry registry(options());
  registry.format("flush_to_zero");
  ASSERT_FALSE(registry.warnings().empty());
  EXPECT_THAT(registry.warnings()[0], HasSubstr(path));
  EXPECT_THAT(registry.warnings()[0], HasSubstr("changed the floating-point mode"));
  // A denormal number survives arithmetic.
  volatile float smallest = 1e-38f;
  smallest = smallest / 64.0f;
  EXPECT_GT(smallest, 0.0f);
}

TEST_F(Registry, WhatLoadingChangedAboutTheProcessIsUndoneAndNamed) {
  const std::string path = install("meddles");
  const fs::path folder = fs::current_path();
  const std::string locale = std::setlocale(LC_ALL, nullptr);
  struct sigaction before {};
  ::sigaction(SIGINT, nullptr, &before);
  PluginRegistry registry(options());
  registry.domain("meddles");
  EXPECT_EQ(fs::current_path(), folder);
  EXPECT_EQ(std::setlocale(LC_ALL, nullptr), locale);
  struct sigaction after {};
  ::sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0);
  const std::vector<std::string> &warnings = registry.warnings();
  for (const char *what : {"working directory", "locale", "SIGINT", "SIGSEGV", "blocked"}) {
    EXPECT_THAT(warnings, Contains(AllOf(HasSubstr(path), HasSubstr(what)))) << what;
  }
}

TEST_F(Registry, AnExceptionOrANonsensicalAnswerEndsAtTheBorder) {
  const std::string throws = install("throws_later");
  install("answers_nonsense");
  PluginRegistry registry(options());
  calm_import request{};
  calm_error error{};
  EXPECT_EQ(registry.domain("throws_later").import(&request, nullptr, &error), CALM_INTERNAL);
  EXPECT_EQ(std::string(error.message),
            "domain \"throws_later\" of " + throws +
                ": import threw an exception: thrown across the border");
  EXPECT_EQ(registry.domain("answers_nonsense").import(&request, nullptr, &error), CALM_INTERNAL);
  EXPECT_THAT(error.message, HasSubstr("a status that does not exist"));
}

TEST_F(Registry, ASuccessThatGivesNothingIsAnError) {
  const std::string path = install("wrong_shape");
  PluginRegistry registry(options());
  const std::string file = "o lies\n";
  calm_stream stream{};
  stream.size = sizeof stream;
  stream.bytes = file.size();
  stream.self = const_cast<std::string *>(&file);
  stream.read_at = [](void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                      calm_error *) {
    static_cast<std::string *>(self)->copy(static_cast<char *>(dst), bytes, offset);
    return CALM_OK;
  };
  calm_reader *reader = nullptr;
  calm_error error{};
  EXPECT_EQ(registry.format("wrong_shape").open(&stream, nullptr, &reader, &error), CALM_INTERNAL);
  EXPECT_EQ(std::string(error.message),
            "format \"wrong_shape\" of " + path + ": open reported success and gave nothing");
}

TEST_F(Registry, OfTwoThatProvideOneThingNamingItIsAnErrorThatNamesBoth) {
  const std::string first = install("good");
  const std::string second = install("good_again");
  const std::string third = install("rival", "z");
  const PluginRegistry registry(options());
  const calm::Error error = failure([&] { registry.require_one("domain", "good"); });
  EXPECT_EQ(error.status(), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(error.what()), "domain \"good\" is provided by more than one plugin: " +
                                           first + ", " + second + "; remove all but one");
  EXPECT_THAT(failure([&] { registry.require_one("format", "good"); }).what(), HasSubstr(third));
  EXPECT_NO_THROW(registry.require_one("domain", "unknown"));
  EXPECT_EQ(registry.path("domain", "good"), first);
  EXPECT_EQ(registry.path("domain", "unknown"), "");
}

TEST_F(Registry, TriesOutInAChildWhatWouldEndThisProcess) {
  PluginRegistry registry([this] {
    for (const char *lie : {"aborts", "crashes", "exits", "good", "no_entry"}) {
      install(lie);
    }
    return options();
  }());
  for (const calm::PluginFile &file : registry.files()) {
    registry.try_out(file.path);
  }
  std::vector<std::string> errors;
  for (const calm::PluginFile &file : registry.files()) {
    errors.push_back(file.load_error);
  }
  EXPECT_THAT(errors, ElementsAre("loading it ends the process with SIGABRT",
                                  "loading it ends the process with SIGSEGV",
                                  "loading it ends the process", "", ""));
  EXPECT_THAT(failure([&] { registry.domain("aborts"); }).what(),
              HasSubstr("aborts.so: loading it ends the process with SIGABRT"));
  EXPECT_EQ(registry.format("good").probe("x", 1, 1), 42u);
}

TEST_F(Registry, OneThatNeverReturnsIsGivenUpOn) {
  const std::string path = install("hangs");
  const PluginRegistry registry(options());
  EXPECT_EQ(calm::probe_plugin(path, registry.files()[0].note, std::chrono::milliseconds(50)),
            "loading it did not end within 0 seconds");
}

TEST_F(Registry, AFileThatChangedSinceItWasListedIsNotLoaded) {
  install("good");
  PluginRegistry registry(options());
  folder_.write("good.so", calm_test::read_bytes(fixture("rival")));
  EXPECT_THAT(failure([&] { registry.format("good"); }).what(),
              HasSubstr("good.so: changed since it was listed"));
}

TEST_F(Registry, MoreTablesOfAKindThanThereAreBordersIsAnError) {
  install("good");
  std::vector<std::unique_ptr<PluginRegistry>> registries;
  const auto load_more = [&] {
    for (int i = 0; i < 100; ++i) {
      registries.push_back(std::make_unique<PluginRegistry>(options()));
      registries.back()->domain("good");
    }
  };
  EXPECT_THAT(failure(load_more).what(), HasSubstr("expected at most 32 of a kind"));
  // They are given back.
  registries.clear();
  EXPECT_EQ(PluginRegistry(options()).domain("good").import, nullptr);
}

TEST_F(Registry, TellsOfFoldersItDidNotRead) {
  calm::SearchOptions search = options();
  search.plugin_path.push_back(folder_.path("none"));
  search.user = folder_.path("absent");
  const PluginRegistry registry(search);
  EXPECT_THAT(registry.warnings(), ElementsAre("no plugins are taken from " + folder_.path("none") +
                                               " (--plugin-path): No such file or directory"));
  EXPECT_THAT(registry.folders(), SizeIs(3));
}

}  // namespace
