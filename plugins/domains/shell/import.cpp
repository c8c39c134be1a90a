#include "import.hpp"

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include <common/import_run.hpp>
#include <common/manual.hpp>
#include <common/plain.hpp>
#include <common/utf8_repair.hpp>

#include "fish.hpp"
#include "history.hpp"
#include "manual_commands.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
// Commands before the one to learn.
constexpr std::size_t kContext = 5;
constexpr std::size_t kLookedAt = 4096;

class Importer {
 public:
  Importer(const calm_import &request, const calm_host *host)
      : run_(request, host), options_(sources::read_options(request, "shell", false)) {}

  void read_all() {
    run_.for_each_file(
        [this](const sources::SourceFile &file, const std::string &bytes) { read(file, bytes); });
    run_.report();
  }

 private:
  void read(const sources::SourceFile &file, std::string_view bytes) {
    const std::string_view name = sources::file_name(file.path);
    if (name.ends_with(".fish")) {
      completions(sources::repair_utf8(bytes));
    } else if (sources::is_manual_name(name)) {
      manual(sources::repair_utf8(bytes));
    } else if (bytes.substr(0, kLookedAt).find('\0') != npos) {
      run_.count("skipped files: not text");
    } else if (const auto kind = history_kind(name, bytes, file.named)) {
      history(*kind, bytes);
    } else {
      run_.count("skipped files: of no known kind");
    }
  }

  void completions(std::string_view text) {
    const FishCommands commands = read_fish_completions(text);
    run_.count("completion files");
    for (const std::string &line : commands.lines) {
      emit(line, "commands of completion files");
    }
    run_.count("skipped completions: computed by fish", commands.not_understood);
  }

  void manual(std::string_view text) {
    const auto page = sources::parse_manual(text);
    if (!page) {
      run_.count("skipped files: no page of their own");
      return;
    }
    run_.count("manual pages");
    const ManualCommands commands = commands_of(*page);
    for (const std::string &line : commands.synopsis) {
      emit(line, "commands of synopses");
    }
    for (const std::string &line : commands.examples) {
      emit(line, "commands of examples");
    }
  }

  // A command on its own.
  void emit(std::string_view line, std::string_view kind) {
    const std::string why = rejected(line);
    if (!why.empty()) {
      run_.count("skipped commands: " + why);
      return;
    }
    run_.count(kind);
    emit(std::deque<std::string>(), sources::plain_text(line));
  }

  void history(HistoryKind kind, std::string_view bytes) {
    run_.count("histories");
    std::deque<std::string> before;
    for (const HistoryEntry &entry : read_history(kind, bytes)) {
      const std::string repaired = sources::repair_utf8(entry.command);
      const std::string why = rejected(repaired);
      if (!why.empty()) {
        run_.count("skipped commands: " + why);
        continue;
      }
      const std::string command = sources::plain_text(repaired);
      run_.count("commands of histories");
      emit(before, command);
      before.push_back(command);
      if (before.size() > kContext) {
        before.pop_front();
      }
    }
  }

  void emit(const std::deque<std::string> &before, const std::string &command) {
    // BOS ATN CMD … END EOS, and HIST … END for each before it.
    std::size_t tokens = command.size() + 5;
    if (tokens > options_.l_max) {
      run_.count("skipped commands: too long for l_max");
      return;
    }
    auto first = before.end();
    while (first != before.begin() && tokens + (first - 1)->size() + 2 <= options_.l_max) {
      tokens += (--first)->size() + 2;
    }
    std::string record;
    for (; first != before.end(); ++first) {
      record += "<HIST>" + *first + "\n";
    }
    run_.emit(record + "<ATN>\n<CMD>" + command);
  }

  sources::ImportRun run_;
  sources::ImportOptions options_;
};

}  // namespace

void import_commands(const calm_import &request, const calm_host *host) {
  Importer(request, host).read_all();
}

}  // namespace calm::shell
