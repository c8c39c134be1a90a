#include "core/run/manifest.hpp"
#include "tests/fuzz/harness.hpp"

// metadata.json of a checkpoint: what is accepted names plain files only, and is written as
// something that reads as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  using calm::fuzz::expect;
  const std::string_view text = calm::fuzz::text_of(data, size);
  try {
    const calm::run::Manifest m = calm::run::parse_manifest(text);
    for (const calm::run::Manifest::File &f : m.files) {
      expect(f.name.find('/') == std::string::npos && f.name != "..", "a file elsewhere", f.name);
    }
    expect(m.optimizer.filename.find('/') == std::string::npos, "a file elsewhere");
    const std::string written = calm::run::manifest_text(m);
    expect(calm::run::manifest_text(calm::run::parse_manifest(written)) == written,
           "reads as something else than was written", written);
  } catch (const calm::Error &e) {
    expect(e.status() == CALM_CORRUPT_DATA || e.status() == CALM_VERSION,
           "refused with another status", e.what());
    calm::fuzz::expect_message(e.what());
  }
  return 0;
}
