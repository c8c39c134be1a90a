// Writes the variants of one format as files: what fuzzing of that format starts from.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/formats/variants.hpp"

namespace {

namespace test = calm::formats_test;

// Longer ones are cut by the fuzzer and teach it nothing.
constexpr std::size_t kMost = 4608;

std::vector<test::Variant> variants_of(const std::string &format) {
  if (format == "cwgt") {
    return test::cwgt_variants();
  }
  return format == "ctds" ? test::ctds_variants() : test::safetensors_variants();
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: calm_fuzz_seeds cwgt|ctds|safetensors FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[2];
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const test::Variant &v : variants_of(argv[1])) {
    if (v.file.size() > kMost) {
      continue;
    }
    std::ofstream out(folder / ("variant" + std::to_string(number++)), std::ios::binary);
    out.write(reinterpret_cast<const char *>(v.file.data()),
              static_cast<std::streamsize>(v.file.size()));
    if (!out.flush()) {
      std::fprintf(stderr, "calm_fuzz_seeds: cannot write to %s\n", argv[2]);
      return 74;
    }
  }
  return 0;
}
