#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "support.hpp"

namespace calm::formats_test {
namespace {

const calm_format &cwgt() { return format("cwgt"); }

nlohmann::json index() {
  const Bytes text = golden("cwgt.json");
  return nlohmann::json::parse(reinterpret_cast<const char *>(text.data()),
                               reinterpret_cast<const char *>(text.data()) + text.size());
}

constexpr const char *kWritten[] = {"nano.cwgt",     "pico.cwgt",        "pico_eos.cwgt",
                                    "tiny_ewc.cwgt", "tiny_nometa.cwgt", "tiny_partmeta.cwgt"};

TEST(CwgtRead, KnowsItsMagicOnly) {
  const Bytes file = golden("tiny_nometa.cwgt");
  EXPECT_EQ(cwgt().probe(file.data(), 64, file.size()), 100u);
  EXPECT_EQ(cwgt().probe(file.data(), 3, 3), 0u);
  EXPECT_EQ(cwgt().probe(nullptr, 0, 0), 0u);
  const Bytes other = golden("tiny_weights.safetensors");
  EXPECT_EQ(cwgt().probe(other.data(), 64, other.size()), 0u);
}

TEST(CwgtRead, FieldsAreThoseOfThePeersDumpInTheShownOrder) {
  const nlohmann::json golden_index = index();
  for (const auto &entry : golden_index["files"]) {
    const std::string name = entry["file"];
    SCOPED_TRACE(name);
    Opened o = open(cwgt(), golden(name));
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    EXPECT_TRUE(o.warnings.empty());
    const auto &header = entry["header"];
    std::vector<std::string> names;
    for (const Field &f : o.contents.fields) {
      names.push_back(f.name);
    }
    std::vector<std::string> expected = {
        "version", "d_model", "n_layers", "l_max",          "ffn_expand",  "expand",
        "d_state", "d_conv",  "dt_rank",  "vocab_size",     "param_count", "tied",
        "ewc",     "domain",  "template", "stop_conditions"};
    for (const char *key :
         {"temperature", "top_k", "top_p", "min_p", "max_tokens", "num_candidates"}) {
      const auto &defaults = entry["sampler_defaults"];
      if (!defaults.is_object() || !defaults.contains(key)) {
        continue;
      }
      const std::string shown =
          std::string("sampler.") + (key == std::string("num_candidates") ? "candidates" : key);
      expected.push_back(shown);
      const Field *f = o.contents.field(shown);
      ASSERT_NE(f, nullptr) << shown;
      EXPECT_EQ(f->type == CALM_VALUE_F64 ? f->f64 : static_cast<double>(f->i64),
                defaults[key].get<double>());
    }
    EXPECT_EQ(names, expected);
    EXPECT_EQ(o.contents.field("version")->i64, header["arch_version"]);
    for (const char *key : {"d_model", "n_layers", "l_max", "ffn_expand", "expand", "d_state",
                            "d_conv", "dt_rank", "vocab_size", "param_count"}) {
      EXPECT_EQ(o.contents.field(key)->i64, header[key].get<std::int64_t>()) << key;
    }
    EXPECT_EQ(o.contents.field("tied")->type, CALM_VALUE_BOOL);
    EXPECT_EQ(o.contents.field("ewc")->i64, header["flags"] == 3 ? 1 : 0);
    EXPECT_EQ(o.contents.field("domain")->str, entry["domain"]);
    EXPECT_EQ(o.contents.field("template")->str, entry["template"]);
    EXPECT_EQ(o.contents.field("stop_conditions")->str, entry["stop_conditions"]);
  }
}

TEST(CwgtRead, TensorsEqualThePeersCheckpointInNameShapeAndValue) {
  for (const char *model : {"pico", "tiny"}) {
    const std::string file = model == std::string("pico") ? "pico.cwgt" : "tiny_ewc.cwgt";
    Opened weights =
        open(format("safetensors"), golden(std::string(model) + "_weights.safetensors"));
    ASSERT_EQ(weights.status, CALM_OK) << weights.message;
    Opened o = open(cwgt(), golden(file));
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    std::size_t compared = 0;
    for (const Tensor &t : o.contents.tensors) {
      if (t.name.rfind("ewc/", 0) == 0) {
        continue;
      }
      const Tensor *other = weights.contents.tensor("model/" + t.name);
      ASSERT_NE(other, nullptr) << t.name;
      EXPECT_EQ(describe(t.type), describe(other->type)) << t.name;
      EXPECT_EQ(t.data, other->data) << t.name;
      ++compared;
    }
    EXPECT_EQ(compared, model == std::string("pico") ? 31u : 17u);
  }
}

TEST(CwgtRead, TensorsComeInParameterOrder) {
  const Opened o = open(cwgt(), golden("tiny_ewc.cwgt"));
  const std::vector<std::string> expected = {"token_emb.weight",
                                             "blocks.0.ln1.weight",
                                             "blocks.0.ln1.bias",
                                             "blocks.0.mixer.conv1d_weight",
                                             "blocks.0.mixer.A_log",
                                             "blocks.0.mixer.D",
                                             "blocks.0.mixer.in_proj.weight",
                                             "blocks.0.mixer.x_proj.weight",
                                             "blocks.0.mixer.dt_proj.weight",
                                             "blocks.0.mixer.dt_proj.bias",
                                             "blocks.0.mixer.out_proj.weight",
                                             "blocks.0.ln2.weight",
                                             "blocks.0.ln2.bias",
                                             "blocks.0.ffn_fc1.weight",
                                             "blocks.0.ffn_fc2.weight",
                                             "ln_f.weight",
                                             "ln_f.bias"};
  ASSERT_EQ(o.contents.tensors.size(), 3 * expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(o.contents.tensors[i].name, expected[i]);
    EXPECT_EQ(o.contents.tensors[expected.size() + i].name, "ewc/fisher/" + expected[i]);
    EXPECT_EQ(o.contents.tensors[2 * expected.size() + i].name, "ewc/theta_star/" + expected[i]);
  }
}

TEST(CwgtRead, EwcBlocksAreTransposedLikeTheWeights) {
  Opened o = open(cwgt(), golden("tiny_ewc.cwgt"));
  // fisher[i] = 0.25 i and anchor[i] = -i in file order; in_proj follows the embedding, ln1 twice.
  const std::size_t first = 320 * 4 + 8;
  const auto fisher =
      o.contents.tensor("ewc/fisher/blocks.0.mixer.in_proj.weight")->values<float>();
  const auto anchor =
      o.contents.tensor("ewc/theta_star/blocks.0.mixer.in_proj.weight")->values<float>();
  for (std::size_t row = 0; row < 8; ++row) {
    for (std::size_t col = 0; col < 4; ++col) {
      const auto place = static_cast<float>(first + col * 8 + row);
      EXPECT_EQ(fisher[row * 4 + col], 0.25F * place);
      EXPECT_EQ(anchor[row * 4 + col], -place);
    }
  }
}

TEST(CwgtRead, GoldenLoadCasesAreJudgedByRulingP1) {
  const nlohmann::json golden_index = index();
  for (const auto &entry : golden_index["load"]) {
    const std::string name = entry["file"];
    const Opened o = open(cwgt(), golden(name));
    const bool peer_only = name == "load/ok_arch9.cwgt" || name == "load/ok_trailing.cwgt";
    const bool accept = entry["accept"].get<bool>() && !peer_only;
    EXPECT_EQ(o.status == CALM_OK, accept) << name << ": " << o.message;
  }
  const Opened newer = open(cwgt(), golden("load/ok_arch9.cwgt"));
  EXPECT_EQ(newer.status, CALM_VERSION);
  EXPECT_EQ(newer.message, "offset 4: made by a newer version of calm (arch 9, this reads 3 to 5)");
  const Opened trailing = open(cwgt(), golden("load/ok_trailing.cwgt"));
  EXPECT_EQ(trailing.status, CALM_CORRUPT_DATA);
  EXPECT_EQ(trailing.message, "offset 5776: expected a file of 5776 bytes, found 5778");
}

TEST(CwgtRead, DtRankZeroIsResolvedAndOlderVersionsKeepTheirNumber) {
  Opened zero = open(cwgt(), golden("load/ok_dtrank0.cwgt"));
  EXPECT_EQ(zero.contents.field("dt_rank")->i64, 1);
  Opened old = open(cwgt(), golden("load/ok_arch3.cwgt"));
  EXPECT_EQ(old.contents.field("version")->i64, 3);
}

TEST(CwgtRead, WhatIsReadIsWrittenBackByteForByte) {
  for (const char *name : kWritten) {
    const Bytes file = golden(name);
    const Opened o = open(cwgt(), file);
    ASSERT_EQ(o.status, CALM_OK) << name << ": " << o.message;
    const Written w = write(cwgt(), o.contents);
    ASSERT_EQ(w.status, CALM_OK) << name << ": " << w.message;
    EXPECT_EQ(w.file, file) << name;
  }
}

TEST(CwgtRead, EveryTruncatedLengthIsRefused) {
  const Bytes whole = golden("tiny_partmeta.cwgt");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const Opened o = open(cwgt(), Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
    ASSERT_EQ(o.status, CALM_CORRUPT_DATA) << n;
    ASSERT_EQ(o.message.rfind("offset ", 0), 0u) << o.message;
  }
}

TEST(CwgtRead, ExtraBytesAreRefused) {
  for (const std::size_t extra : {1u, 2u, 4u, 48u, 4096u, 5728u}) {
    for (const char *name : {"tiny_nometa.cwgt", "tiny_ewc.cwgt"}) {
      Bytes file = golden(name);
      file.resize(file.size() + extra);
      EXPECT_EQ(open(cwgt(), file).status, CALM_CORRUPT_DATA) << name << " + " << extra;
    }
  }
}

TEST(CwgtRead, AnyHeaderByteMayBeAnythingWithoutHarm) {
  const Bytes whole = golden("tiny_ewc.cwgt");
  for (std::size_t at = 0; at < 48; ++at) {
    for (unsigned v = 0; v < 256; ++v) {
      Bytes file = whole;
      file[at] = static_cast<std::byte>(v);
      const Opened o = open(cwgt(), file);
      ASSERT_LT(o.largest_allocation, 1u << 20) << at << " = " << v;
      if (file == whole) {
        ASSERT_EQ(o.status, CALM_OK);
      }
      // The sampler defaults, l_max and the version have more than one right value, and dt_rank 0
      // means the 1 that stands there.
      const bool free =
          at == 4 || at == 16 || at == 17 || (at >= 22 && at < 33) || (at == 38 && v == 0);
      if (!free && file != whole) {
        ASSERT_NE(o.status, CALM_OK) << at << " = " << v;
      }
    }
  }
}

TEST(CwgtRead, DeclaredSizesAreNeverAllocatedOnTrust) {
  Bytes file = golden("tiny_nometa.cwgt");
  put<std::uint16_t>(file, 10, 65535);
  for (const std::size_t at : {12u, 13u, 14u, 15u, 33u, 38u}) {
    put<std::uint8_t>(file, at, 255);
  }
  for (const std::uint32_t count : {0u, 1432u, 0x7fffffffu, 0xffffffffu}) {
    put<std::uint32_t>(file, 18, count);
    const Opened o = open(cwgt(), file);
    EXPECT_EQ(o.status, CALM_CORRUPT_DATA);
    EXPECT_LT(o.largest_allocation, 1u << 16);
  }
  // A count that fits its sizes (n_layers 255 and the widest that 32 bits hold): the file is short.
  file = golden("tiny_nometa.cwgt");
  put<std::uint16_t>(file, 10, 1000);
  put<std::uint8_t>(file, 12, 255);
  const std::uint64_t d = 1000, e = d, f = d;
  const std::uint64_t layer =
      4 * d + 2 * d * e + e * 2 + e * (1 + 4) + e + e + e * 2 + e + e * d + 2 * d * f;
  put<std::uint32_t>(file, 18, static_cast<std::uint32_t>(320 * d + 2 * d + 255 * layer));
  const Opened o = open(cwgt(), file);
  EXPECT_EQ(o.status, CALM_CORRUPT_DATA);
  EXPECT_NE(o.message.find("expected a file of"), std::string::npos) << o.message;
  EXPECT_LT(o.largest_allocation, 1u << 16);
}

TEST(CwgtRead, NonFiniteValuesAreRefusedInEveryBlock) {
  const Bytes whole = golden("tiny_ewc.cwgt");
  const std::size_t data = 48 + 16, block = 4 * 1432;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {data, data + block - 4, data + block, data + 2 * block - 4,
                                 data + 2 * block, whole.size() - 4}) {
      Bytes file = whole;
      put(file, at, bad);
      const Opened o = open(cwgt(), file);
      EXPECT_EQ(o.status, CALM_CORRUPT_DATA);
      EXPECT_EQ(o.message, "offset " + std::to_string(at) + ": expected a finite value, found " +
                               (std::isnan(bad) ? "nan" : "an infinity"));
    }
  }
  Bytes file = whole;
  put(file, data, std::numeric_limits<float>::max());
  put(file, data + 4, std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(open(cwgt(), file).status, CALM_OK);
}

struct Refused {
  std::size_t offset;
  std::size_t width;
  std::uint32_t value;
  const char *message;  // part of it
};

TEST(CwgtRead, EveryFieldOutsideItsRulesIsRefusedWithItsOffset) {
  const Refused cases[] = {
      {4, 2, 0, "offset 4: made by an older version of calm (arch 0"},
      {4, 2, 2, "offset 4: made by an older"},
      {4, 2, 6, "offset 4: made by a newer"},
      {4, 2, 65535, "offset 4: made by a newer"},
      {6, 2, 0, "offset 6: expected the flag of a tied head"},
      {6, 2, 2, "offset 6: expected the flag of a tied head"},
      {6, 2, 3, "expected a file of"},
      {6, 2, 5, "offset 6: expected flag bits 0 and 1 only, found 5"},
      {6, 2, 0x8001, "offset 6: expected flag bits 0 and 1 only"},
      {8, 2, 0, "offset 8: expected vocab_size 320, found 0"},
      {8, 2, 319, "offset 8: expected vocab_size 320, found 319"},
      {8, 2, 321, "offset 8: expected vocab_size 320, found 321"},
      {10, 2, 0, "offset 10: expected d_model of at least 1"},
      {10, 2, 5, "offset 18: expected param_count"},
      {12, 1, 0, "offset 12: expected n_layers of at least 1"},
      {12, 1, 2, "offset 18: expected param_count"},
      {13, 1, 0, "offset 13: expected ffn_expand of at least 1"},
      {13, 1, 2, "offset 18: expected param_count"},
      {14, 1, 0, "offset 14: expected expand of at least 1"},
      {14, 1, 255, "offset 18: expected param_count"},
      {15, 1, 0, "offset 15: expected d_state of at least 1"},
      {15, 1, 3, "offset 18: expected param_count"},
      {16, 2, 0, "offset 16: expected l_max of at least 1"},
      {18, 4, 0, "offset 18: expected param_count 1432 for these sizes, found 0"},
      {18, 4, 1431, "offset 18: expected param_count 1432"},
      {18, 4, 1433, "offset 18: expected param_count 1432"},
      {18, 4, 0xffffffff, "offset 18: expected param_count 1432"},
      {33, 1, 0, "offset 33: expected d_conv of at least 1"},
      {33, 1, 4, "offset 18: expected param_count"},
      {34, 4, 1, "expected a file of 5777 bytes, found 5776"},
      {34, 4, 4096, "expected a file of 9872 bytes, found 5776"},
      {34, 4, 4097, "offset 34: expected meta_size of at most 4096, found 4097"},
      {34, 4, 0xffffffff, "offset 34: expected meta_size of at most 4096"},
      {38, 1, 2, "offset 18: expected param_count"},
      {38, 1, 255, "offset 18: expected param_count"},
      {39, 1, 1, "offset 39: expected a reserved byte of 0, found 1"},
      {47, 1, 255, "offset 47: expected a reserved byte of 0, found 255"},
  };
  for (const Refused &c : cases) {
    Bytes file = golden("tiny_nometa.cwgt");
    std::memcpy(file.data() + c.offset, &c.value, c.width);
    const Opened o = open(cwgt(), file);
    EXPECT_NE(o.status, CALM_OK) << c.message;
    EXPECT_NE(o.message.find(c.message), std::string::npos)
        << "expected: " << c.message << "\nfound:    " << o.message;
  }
}

TEST(CwgtRead, MetadataIsLenientInLinesAndRepairsText) {
  const Bytes plain = golden("tiny_nometa.cwgt");
  const auto with_blob = [&](const std::string &blob) {
    Bytes file(plain.size() + blob.size());
    std::memcpy(file.data(), plain.data(), 48);
    std::memcpy(file.data() + 48, blob.data(), blob.size());
    std::memcpy(file.data() + 48 + blob.size(), plain.data() + 48, plain.size() - 48);
    put<std::uint32_t>(file, 34, static_cast<std::uint32_t>(blob.size()));
    Opened o = open(cwgt(), file);
    EXPECT_EQ(o.status, CALM_OK) << o.message;
    return std::vector<std::string>{o.contents.field("domain")->str,
                                    o.contents.field("template")->str,
                                    o.contents.field("stop_conditions")->str};
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(with_blob("d"), (Lines{"d", "", ""}));
  EXPECT_EQ(with_blob("d\nt"), (Lines{"d", "t", ""}));
  EXPECT_EQ(with_blob("d\nt\ns"), (Lines{"d", "t", "s"}));
  EXPECT_EQ(with_blob("d\nt\ns\nmore\n"), (Lines{"d", "t", "s"}));
  EXPECT_EQ(with_blob("\n\n\n"), (Lines{"", "", ""}));
  EXPECT_EQ(with_blob("a\r\nb\r\n"), (Lines{"a\r", "b\r", ""}));
  const std::string fffd = "\xef\xbf\xbd";
  EXPECT_EQ(with_blob("\xc3\n\xe2\x82\n\xe0\x80\x80"), (Lines{fffd, fffd, fffd + fffd + fffd}));
  EXPECT_EQ(with_blob("\xed\xa0\x80\n\xf4\x90\x80\x80\n\xf0\x9f"
                      "A"),
            (Lines{fffd + fffd + fffd, fffd + fffd + fffd + fffd, fffd + "A"}));
  EXPECT_EQ(with_blob("\xc3\xa9\n\xf0\x9f\x98\x80\n\xff"),
            (Lines{"\xc3\xa9", "\xf0\x9f\x98\x80", fffd}));
  EXPECT_EQ(with_blob(std::string(4096, 'x')), (Lines{std::string(4096, 'x'), "", ""}));
}

TEST(CwgtRead, ATensorThatDoesNotExistOrFitIsRefused) {
  const Bytes file = golden("tiny_nometa.cwgt");
  calm_stream stream{};
  stream.size = sizeof stream;
  stream.self = const_cast<Bytes *>(&file);
  stream.bytes = file.size();
  stream.read_at = [](void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                      calm_error *) -> calm_status {
    std::memcpy(dst, static_cast<const Bytes *>(self)->data() + offset, bytes);
    return CALM_OK;
  };
  calm_reader *reader = nullptr;
  calm_error error{};
  ASSERT_EQ(cwgt().open(&stream, nullptr, &reader, &error), CALM_OK) << error.message;
  std::vector<float> room(320 * 4);
  EXPECT_EQ(cwgt().read(reader, 17, room.data(), 16, &error), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(cwgt().read(reader, 0, room.data(), 16, &error), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(cwgt().read(reader, 0, room.data(), 4 * room.size(), &error), CALM_OK);
  cwgt().close(reader);
}

TEST(CwgtRead, AFailingStreamIsReportedAsItIs) {
  const Bytes file = golden("tiny_ewc.cwgt");
  for (const std::uint64_t good : {0u, 1u, 2u}) {
    std::pair<const Bytes *, std::uint64_t> state{&file, good};
    calm_stream stream{};
    stream.size = sizeof stream;
    stream.self = &state;
    stream.bytes = file.size();
    stream.read_at = [](void *self, std::uint64_t offset, void *dst, std::uint64_t bytes,
                        calm_error *error) -> calm_status {
      auto &[source, left] = *static_cast<std::pair<const Bytes *, std::uint64_t> *>(self);
      if (left == 0) {
        return fail(error, CALM_IO, "disk on fire");
      }
      --left;
      std::memcpy(dst, source->data() + offset, bytes);
      return CALM_OK;
    };
    calm_reader *reader = nullptr;
    calm_error error{};
    EXPECT_EQ(cwgt().open(&stream, nullptr, &reader, &error), CALM_IO) << good;
    EXPECT_STREQ(error.message, "disk on fire");
  }
}

}  // namespace
}  // namespace calm::formats_test
