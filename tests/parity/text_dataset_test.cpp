#include "core/data/text_dataset.hpp"

#include <calm/cpp/error.hpp>

#include "tests/parity/text_golden.hpp"

#include <algorithm>
#include <map>

namespace calm::data {
namespace {

void put(std::string &out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xFF));
}

// The CTDS bytes of spec K.8, so that golden files are met to the byte.
std::string ctds(const SequenceSet &set) {
  std::string out = "CTDS";
  put(out, 0, 4);
  put(out, set.size(), 4);
  put(out, *std::max_element(set.lengths.begin(), set.lengths.end()), 2);
  for (const std::uint32_t length : set.lengths) put(out, length, 2);
  for (const std::uint32_t position : set.cmd_pos) put(out, position, 2);
  for (const std::uint16_t token : set.tokens) put(out, token, 2);
  return out;
}

// The command line of a golden run.
struct GoldenRun {
  std::string input, output, val_output;
  TextDatasetOptions options;
  bool stats = false;

  explicit GoldenRun(const std::vector<std::string> &argv) : input(argv.at(0)) {
    for (std::size_t i = 1; i < argv.size(); ++i) {
      if (argv[i] == "--stats") {
        stats = true;
        continue;
      }
      const std::string &value = argv.at(i + 1);
      if (argv[i] == "-o") output = value;
      if (argv[i] == "--val-output") val_output = value;
      if (argv[i] == "--l-max") options.l_max = std::stoll(value);
      if (argv[i] == "--val-split") options.val_split = std::stod(value);
      ++i;
    }
    if (val_output.empty()) val_output = default_val_path(output).string();
  }
};

// The lines of L.7.
std::string messages(const GoldenRun &run, const TextDataset &dataset) {
  const auto n = [](std::size_t value) { return std::to_string(value); };
  const TextDataset::Part &train = dataset.train;
  const TextDataset::Part &val = dataset.val;
  std::string out = "Reading text dataset from " + run.input + "...\nParsed " +
                    n(dataset.parsed()) +
                    (dataset.dictionary ? " dictionary entries\n" : " blocks\n");
  const bool split = run.options.val_split > 0;
  if (split) out += "Split: " + n(train.parsed) + " train, " + n(val.parsed) + " val\n";
  out += (split ? "Train: wrote " : "Wrote ") + n(train.sequences.size()) + " sequences to " +
         run.output + "\n";
  if (train.dropped > 0) {
    out += "  (" + n(train.dropped) +
           " dropped: too short or exceeds l_max=" + std::to_string(run.options.l_max) + ")\n";
  }
  if (split) {
    out += "Val:   wrote " + n(val.sequences.size()) + " sequences to " + run.val_output + "\n";
    if (val.dropped > 0) out += "  (" + n(val.dropped) + " dropped)\n";
  }
  if (run.stats && train.sequences.size() > 0) out += render_verification(train.sequences);
  return out;
}

TEST(TextDatasetParity, EveryGoldenRunGivesTheSameFilesAndLines) {
  std::size_t files = 0;
  for (const auto &golden_case : golden::json("text2ctds.json", "cases")) {
    SCOPED_TRACE(golden_case.dump());
    const GoldenRun run(golden_case["argv"].get<std::vector<std::string>>());
    if (golden_case["uncaught"] == "UnicodeDecodeError") {
      EXPECT_THROW(encode_text_dataset(golden::bytes(run.input), run.input, run.options), Error);
      continue;
    }
    if (run.input == "text/nofile.txt") continue;  // reading is the caller's part

    const TextDataset dataset =
        encode_text_dataset(golden::bytes(run.input), run.input, run.options);
    EXPECT_EQ(messages(run, dataset), golden_case["stdout"].get<std::string>());
    std::map<std::string, const SequenceSet *> written;
    if (dataset.train.sequences.size() > 0) written[run.output] = &dataset.train.sequences;
    if (dataset.val.sequences.size() > 0) written[run.val_output] = &dataset.val.sequences;
    const auto outputs = golden_case["outputs"].get<std::vector<std::string>>();
    ASSERT_EQ(written.size(), outputs.size());
    for (const std::string &name : outputs) {
      EXPECT_EQ(ctds(*written.at(name)), golden::bytes(name)) << name;
      ++files;
    }
  }
  EXPECT_EQ(files, 22u);
}

TEST(TextDatasetParity, EveryDecodedGoldenSequenceIsReproduced) {
  std::map<std::string, SequenceSet> sets;
  for (const auto &golden_case : golden::json("text2ctds.json", "cases")) {
    if (golden_case["outputs"].empty()) continue;
    const GoldenRun run(golden_case["argv"].get<std::vector<std::string>>());
    TextDataset dataset = encode_text_dataset(golden::bytes(run.input), run.input, run.options);
    sets[run.output] = std::move(dataset.train.sequences);
    sets[run.val_output] = std::move(dataset.val.sequences);
  }
  for (const auto &file : golden::json("ctds.json", "files")) {
    const std::string name = file["file"].get<std::string>();
    SCOPED_TRACE(name);
    if (name == "ctds/direct.ctds") continue;  // not made from text
    const SequenceSet &set = sets.at(name);
    ASSERT_EQ(set.size(), file["samples"].size());
    std::ptrdiff_t start = 0;
    for (std::size_t i = 0; i < set.size(); ++i) {
      const auto first = set.tokens.begin() + start;
      start += static_cast<std::ptrdiff_t>(set.lengths[i]);
      const std::vector<text::Token> ids(first, set.tokens.begin() + start);
      EXPECT_EQ(ids, golden::ids(file["samples"][i]["ids"]));
      EXPECT_EQ(set.cmd_pos[i], file["samples"][i]["cmd_pos"].get<std::uint32_t>());
    }
  }
}

}  // namespace
}  // namespace calm::data
