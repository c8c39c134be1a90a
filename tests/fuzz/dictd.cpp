#include <common/utf8_repair.hpp>
#include <dictd.hpp>
#include <entry.hpp>
#include <foldoc.hpp>
#include <gcide.hpp>
#include <generic.hpp>
#include <jargon.hpp>
#include <layout.hpp>
#include <wordnet.hpp>

#include "core/text/utf8.hpp"
#include "tests/fuzz/harness.hpp"

namespace {

using calm::dictionary::Entry;
using calm::dictionary::Fit;
using calm::fuzz::expect;

constexpr std::size_t kLMax = 96;

void check_entry(Entry entry) {
  const Fit fit = calm::dictionary::fit_entry(entry, kLMax);
  if (fit == Fit::kNoDefinition || fit == Fit::kTooLong) {
    return;
  }
  expect(calm::dictionary::token_count(entry) <= kLMax, "an entry that does not fit");
  const std::string text = calm::dictionary::format_entry(entry);
  expect(!calm::text::find_invalid_utf8(text), "an entry that is not UTF-8", text);
  expect(text.starts_with("<WORD>") && text.find("\n<DEF>") != std::string::npos,
         "an entry without a definition", text);
  expect(text.find("\n\n") == std::string::npos, "an entry in two parts", text);
}

}  // namespace

// An index, a line of two dashes, and the text it leads into. Every record goes through all record
// parsers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  std::string_view rest = calm::fuzz::text_of(data, size);
  const std::string index(calm::fuzz::cut(rest, "--\n"));
  calm::fuzz::accepts(CALM_CORRUPT_DATA, [&] {
    const calm::dictionary::Database database("d", std::string(rest), index, "f");
    calm::dictionary::recognise(database);
    for (const calm::dictionary::Record &record : database.records()) {
      const std::string text = calm::sources::repair_utf8(database.text(record));
      expect(!calm::text::find_invalid_utf8(text), "a repair that is not UTF-8", text);
      const std::string word = calm::sources::repair_utf8(record.headwords.front());
      for (Entry &entry : calm::dictionary::parse_gcide(text)) {
        check_entry(std::move(entry));
      }
      for (const auto parse : {calm::dictionary::parse_wordnet, calm::dictionary::parse_foldoc,
                               calm::dictionary::parse_jargon}) {
        for (Entry &entry : parse(text)) {
          check_entry(std::move(entry));
        }
      }
      for (Entry &entry : calm::dictionary::parse_generic({word}, text)) {
        check_entry(std::move(entry));
      }
    }
  });
  return 0;
}
