#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "support.hpp"

namespace calm::formats_test {
namespace {

const calm_format &cwgt() { return format("cwgt"); }

Contents tiny(const char *name = "tiny_nometa.cwgt") {
  Opened o = open(cwgt(), golden(name));
  EXPECT_EQ(o.status, CALM_OK) << o.message;
  return o.contents;
}

void expect_refused(const Contents &contents, const std::string &message) {
  const Written w = write(cwgt(), contents);
  EXPECT_EQ(w.status, CALM_INVALID_ARGUMENT) << message;
  EXPECT_NE(w.message.find(message), std::string::npos)
      << "expected: " << message << "\nfound:    " << w.message;
}

TEST(CwgtWrite, SizesAloneMakeAFile) {
  Contents c = tiny();
  const Bytes whole = write(cwgt(), c).file;
  for (const char *name : {"version", "dt_rank", "vocab_size", "param_count", "tied", "ewc",
                           "domain", "template", "stop_conditions"}) {
    c.remove_field(name);
  }
  const Written w = write(cwgt(), c);
  EXPECT_EQ(w.status, CALM_OK) << w.message;
  EXPECT_EQ(w.file, whole);
}

TEST(CwgtWrite, AnOlderFileIsWrittenAsVersion5) {
  Opened o = open(cwgt(), golden("load/ok_arch3.cwgt"));
  const Written w = write(cwgt(), o.contents);
  ASSERT_EQ(w.status, CALM_OK) << w.message;
  EXPECT_EQ(w.file, golden("tiny_nometa.cwgt"));
}

TEST(CwgtWrite, EverySizeIsCheckedAtItsBorders) {
  const std::pair<const char *, std::int64_t> sizes[] = {
      {"d_model", 65535}, {"n_layers", 255}, {"l_max", 65535}, {"ffn_expand", 255},
      {"expand", 255},    {"d_state", 255},  {"d_conv", 255}};
  for (const auto &[name, max] : sizes) {
    for (const std::int64_t v :
         {std::int64_t{0}, max + 1, std::int64_t{-1}, std::int64_t{1} << 40,
          std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
      Contents c = tiny();
      c.set(name, v);
      expect_refused(c, std::string(name) + ": expected 1 to " + std::to_string(max) + ", found " +
                            std::to_string(v));
    }
    Contents c = tiny();
    c.remove_field(name);
    expect_refused(
        c, std::string(name) + ": expected 1 to " + std::to_string(max) + ", found nothing");
    c.set(name, 2.0);
    expect_refused(c, std::string(name) + ": expected 1 to " + std::to_string(max) +
                          ", found a value that is not an integer");
  }
  Contents c = tiny();
  c.set("dt_rank", std::int64_t{256});
  expect_refused(c, "dt_rank: expected 0 to 255, found 256");
  c = tiny();
  c.set("d_model", std::int64_t{4096});
  c.remove_field("dt_rank");
  c.remove_field("param_count");
  expect_refused(c, "dt_rank: expected 0 to 255, found 256");
  c = tiny();
  c.set("d_model", std::int64_t{65535});
  c.remove_field("param_count");
  expect_refused(c, "param_count: expected 0 to 4294967295");
}

TEST(CwgtWrite, ParameterCountsOfThePresetsAreTheSpecs) {
  struct Preset {
    std::int64_t d_model, n_layers, expand, ffn_expand, params;
  };
  const Preset presets[] = {{64, 3, 2, 2, 168064},
                            {96, 5, 2, 3, 649152},
                            {128, 6, 3, 4, 1876736},
                            {192, 8, 4, 4, 6445440}};
  for (const Preset &p : presets) {
    Contents c;
    c.set("d_model", p.d_model);
    c.set("n_layers", p.n_layers);
    c.set("l_max", std::int64_t{768});
    c.set("expand", p.expand);
    c.set("ffn_expand", p.ffn_expand);
    c.set("d_state", std::int64_t{16});
    c.set("d_conv", std::int64_t{4});
    c.set("param_count", p.params + 1);
    expect_refused(c, "param_count: expected " + std::to_string(p.params) + ", found");
    c.set("param_count", p.params);
    expect_refused(c, "token_emb.weight: expected f32[320, " + std::to_string(p.d_model) + "]");
  }
}

TEST(CwgtWrite, FixedFieldsMaySayOnlyWhatIsWritten) {
  const std::pair<const char *, std::int64_t> fixed[] = {
      {"vocab_size", 321}, {"param_count", 1431}, {"version", 2}, {"version", 6}};
  for (const auto &[name, v] : fixed) {
    Contents c = tiny();
    c.set(name, v);
    expect_refused(c, std::string(name) + ": expected ");
  }
  Contents c = tiny();
  c.set_flag("tied", false);
  expect_refused(c, "tied: expected true, found false");
  c = tiny();
  c.set("tied", std::int64_t{1});
  expect_refused(c, "tied: expected true or false");
  c = tiny();
  c.set("author", std::string("me"));
  expect_refused(c, "author: expected only fields that a CWGT file holds");
}

TEST(CwgtWrite, SamplerDefaultsAreCheckedAtTheirBorders) {
  for (const char *name : {"sampler.temperature", "sampler.top_p", "sampler.min_p"}) {
    for (const double v : {-0.001, 65.5355, 1e300, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
      Contents c = tiny();
      c.set(name, v);
      expect_refused(c, std::string(name) + ": expected 0 to 65535 thousandths");
    }
    Contents c = tiny();
    c.set(name, std::string("hot"));
    expect_refused(c, std::string(name) + ": expected a number");
  }
  const std::pair<const char *, std::int64_t> plain[] = {
      {"sampler.top_k", 65535}, {"sampler.max_tokens", 65535}, {"sampler.candidates", 255}};
  for (const auto &[name, max] : plain) {
    for (const std::int64_t v : {std::int64_t{-1}, max + 1}) {
      Contents c = tiny();
      c.set(name, v);
      expect_refused(c, std::string(name) + ": expected 0 to " + std::to_string(max));
    }
  }
}

TEST(CwgtWrite, ScaledDefaultsAreRoundedToThousandths) {
  const std::pair<double, std::uint16_t> cases[] = {{0.0006, 1}, {0.0004, 0},     {0.9995, 1000},
                                                    {0.6, 600},  {65.535, 65535}, {0.0, 0}};
  for (const auto &[value, stored] : cases) {
    Contents c = tiny();
    c.set("sampler.temperature", value);
    const Written w = write(cwgt(), c);
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    std::uint16_t found = 0;
    std::memcpy(&found, w.file.data() + 22, sizeof found);
    EXPECT_EQ(found, stored) << value;
  }
  Contents c = tiny();
  c.set("sampler.temperature", std::int64_t{1});
  EXPECT_EQ(write(cwgt(), c).status, CALM_OK);
}

TEST(CwgtWrite, EveryStoredSamplerNumberSurvivesReadAndWrite) {
  Bytes file = golden("tiny_nometa.cwgt");
  for (unsigned v = 0; v <= 65535; v += v < 2000 ? 1 : 97) {
    for (const std::size_t at : {22u, 24u, 26u, 28u, 30u}) {
      put(file, at, static_cast<std::uint16_t>(v));
    }
    put(file, 32, static_cast<std::uint8_t>(v & 255));
    ASSERT_EQ(write(cwgt(), open(cwgt(), file).contents).file, file) << v;
  }
}

TEST(CwgtWrite, TextsAreOneUtf8LineEachAnd4096BytesInAll) {
  for (const char *name : {"domain", "template", "stop_conditions"}) {
    Contents c = tiny();
    c.set(name, std::string("a\nb"));
    expect_refused(c, std::string(name) + ": expected one line, found a line feed");
    c.set(name, std::string("\xc3"));
    expect_refused(c, std::string(name) + ": expected UTF-8");
    c.set(name, std::string(4094, 'x'));
    expect_refused(c, "expected at most 4096 bytes");
    c.set(name, std::string(4093, 'x'));
    const Written w = write(cwgt(), c);
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    Opened o = open(cwgt(), w.file);
    EXPECT_EQ(o.contents.field(name)->str, std::string(4093, 'x'));
    c.set(name, std::int64_t{1});
    expect_refused(c, std::string(name) + ": expected a text");
  }
}

TEST(CwgtWrite, TensorsMustBeThereFitAndBeFinite) {
  for (const Tensor &t : tiny("tiny_ewc.cwgt").tensors) {
    Contents c = tiny("tiny_ewc.cwgt");
    c.remove_tensor(t.name);
    expect_refused(c, t.name + ": expected f32[");

    c = tiny("tiny_ewc.cwgt");
    c.tensor(t.name)->type.dtype = CALM_I32;
    expect_refused(c, t.name + ": expected f32[");

    c = tiny("tiny_ewc.cwgt");
    Tensor &changed = *c.tensor(t.name);
    changed.type.shape[0] += 1;
    changed.data.resize(bytes_of(changed.type));
    expect_refused(c, t.name + ": expected f32[");

    c = tiny("tiny_ewc.cwgt");
    Bytes &data = c.tensor(t.name)->data;
    put(data, data.size() - 4, std::numeric_limits<float>::quiet_NaN());
    expect_refused(c, t.name + ": expected finite values, found nan at element " +
                          std::to_string(data.size() / 4 - 1));
    put(data, data.size() - 4, -std::numeric_limits<float>::infinity());
    expect_refused(c, t.name + ": expected finite values, found an infinity");
  }
  Contents c = tiny();
  c.add<float>("lm_head.weight", CALM_F32, {1}, {0.0F});
  expect_refused(c, "lm_head.weight: expected only tensors");
  c = tiny();
  c.tensors.push_back(c.tensors[3]);
  expect_refused(c, c.tensors[3].name + ": expected one tensor of this name, found two");
  c = tiny();
  c.fields.push_back(c.fields[3]);
  expect_refused(c, c.fields[3].name + ": expected one field of this name, found two");
}

TEST(CwgtWrite, EwcFollowsTheFieldOrTheTensors) {
  const Bytes whole = golden("tiny_ewc.cwgt");
  Contents c = tiny("tiny_ewc.cwgt");
  c.remove_field("ewc");
  EXPECT_EQ(write(cwgt(), c).file, whole);
  c.set_flag("ewc", false);
  expect_refused(c, "ewc/fisher/token_emb.weight: expected only tensors");
  c = tiny();
  c.set_flag("ewc", true);
  expect_refused(c, "ewc/fisher/token_emb.weight: expected f32[320, 4], found nothing");
}

TEST(CwgtWrite, AFailingSinkIsReportedAsItIs) {
  const Contents c = tiny();
  std::vector<calm_value> fields;
  for (const Field &f : c.fields) {
    fields.push_back({str(f.name), f.type, 0, f.i64, f.f64, str(f.str)});
  }
  std::vector<calm_named_tensor> tensors;
  for (const Tensor &t : c.tensors) {
    tensors.push_back({str(t.name), t.type, t.data.data()});
  }
  calm_document document{};
  document.size = sizeof document;
  document.fields = table(fields);
  document.tensors = table(tensors);
  for (int good = 0; good < 18; ++good) {
    int left = good;
    calm_sink sink{};
    sink.size = sizeof sink;
    sink.self = &left;
    sink.write = [](void *self, const void *, std::uint64_t, calm_error *error) -> calm_status {
      return (*static_cast<int *>(self))-- > 0 ? CALM_OK : fail(error, CALM_IO, "disk full");
    };
    calm_error error{};
    EXPECT_EQ(cwgt().write(&document, nullptr, &sink, &error), CALM_IO) << good;
    EXPECT_STREQ(error.message, "disk full");
  }
}

// A model of given sizes with values that tell every element apart.
struct Sizes {
  std::int64_t d = 1, layers = 1, l_max = 1, ffn = 1, expand = 1, state = 1, conv = 1, rank = 1;

  std::int64_t params() const {
    const std::int64_t e = d * expand, f = d * ffn, r = rank != 0 ? rank : (d + 15) / 16;
    return 320 * d + 2 * d +
           layers * (4 * d + 2 * d * e + e * conv + e * (r + 2 * state) + r * e + e + e * state +
                     e + e * d + 2 * d * f);
  }
};

Contents model_of(const Sizes &s, bool tensors) {
  Contents c;
  c.set("d_model", s.d);
  c.set("n_layers", s.layers);
  c.set("l_max", s.l_max);
  c.set("ffn_expand", s.ffn);
  c.set("expand", s.expand);
  c.set("d_state", s.state);
  c.set("d_conv", s.conv);
  c.set("dt_rank", s.rank);
  if (!tensors) {
    return c;
  }
  float next = 0;
  const auto add = [&](const std::string &name, std::initializer_list<std::int64_t> shape) {
    std::size_t n = 1;
    for (const std::int64_t extent : shape) {
      n *= static_cast<std::size_t>(extent);
    }
    std::vector<float> values(n);
    for (float &v : values) {
      v = next++;
    }
    c.add(name, CALM_F32, shape, values);
  };
  const std::int64_t d = s.d, e = d * s.expand, f = d * s.ffn,
                     r = s.rank != 0 ? s.rank : (d + 15) / 16;
  add("token_emb.weight", {320, d});
  for (std::int64_t i = 0; i < s.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    add(block + "ln1.weight", {d});
    add(block + "ln1.bias", {d});
    add(block + "mixer.conv1d_weight", {e, s.conv});
    add(block + "mixer.A_log", {e, s.state});
    add(block + "mixer.D", {e});
    add(block + "mixer.in_proj.weight", {2 * e, d});
    add(block + "mixer.x_proj.weight", {r + 2 * s.state, e});
    add(block + "mixer.dt_proj.weight", {e, r});
    add(block + "mixer.dt_proj.bias", {e});
    add(block + "mixer.out_proj.weight", {d, e});
    add(block + "ln2.weight", {d});
    add(block + "ln2.bias", {d});
    add(block + "ffn_fc1.weight", {f, d});
    add(block + "ffn_fc2.weight", {d, f});
  }
  add("ln_f.weight", {d});
  add("ln_f.bias", {d});
  return c;
}

TEST(CwgtWrite, EveryFileThatIsWrittenIsReadBackEqual) {
  std::mt19937_64 random(20240607);
  const auto pick = [&](std::int64_t max) {
    const std::int64_t borders[] = {0, 1, max - 1, max, max + 1};
    return borders[random() % 5];
  };
  int written = 0;
  for (int round = 0; round < 10000; ++round) {
    Sizes s;
    const std::pair<std::int64_t *, std::int64_t> fields[] = {
        {&s.d, 65535},    {&s.layers, 255}, {&s.l_max, 65535}, {&s.ffn, 255},
        {&s.expand, 255}, {&s.state, 255},  {&s.conv, 255},    {&s.rank, 255}};
    for (const auto &[value, max] : fields) {
      *value = static_cast<std::int64_t>(1 + random() % 3);
    }
    bool legal = true;
    for (int changes = static_cast<int>(random() % 3); changes > 0; --changes) {
      const auto &[value, max] = fields[random() % std::size(fields)];
      *value = pick(max);
    }
    for (const auto &[value, max] : fields) {
      legal = legal && *value <= max && (*value >= 1 || value == &s.rank);
    }
    const double temperature = static_cast<double>(pick(65535)) / 1000.0;
    const std::int64_t candidates = pick(255), top_k = pick(65535);
    legal = legal && temperature <= 65.535 && candidates <= 255 && top_k <= 65535;
    const bool rank_fits = s.rank != 0 || (s.d + 15) / 16 <= 255;
    legal = legal && rank_fits && (!legal || s.params() <= 0xffffffff);

    const bool with_tensors = legal && s.params() < 8000;
    Contents c = model_of(s, with_tensors);
    c.set("sampler.temperature", temperature);
    c.set("sampler.candidates", candidates);
    c.set("sampler.top_k", top_k);
    c.set("domain", std::string(random() % 3, 'd'));
    const Written w = write(cwgt(), c);
    if (!with_tensors) {
      // Refused for its header, or, when that is legal, only for want of the first tensor.
      ASSERT_EQ(w.status, CALM_INVALID_ARGUMENT);
      ASSERT_EQ(w.message.rfind("token_emb.weight: expected", 0) == 0, legal) << w.message;
      continue;
    }
    ASSERT_EQ(w.status, CALM_OK) << w.message;
    ++written;
    Opened o = open(cwgt(), w.file);
    ASSERT_EQ(o.status, CALM_OK) << o.message;
    ASSERT_EQ(o.contents.tensors.size(), c.tensors.size());
    for (std::size_t i = 0; i < c.tensors.size(); ++i) {
      ASSERT_EQ(o.contents.tensors[i].name, c.tensors[i].name);
      ASSERT_EQ(o.contents.tensors[i].data, c.tensors[i].data) << c.tensors[i].name;
    }
    for (const Field &f : c.fields) {
      const Field *found = o.contents.field(f.name);
      if (f.name == "dt_rank") {
        ASSERT_EQ(found->i64, s.rank != 0 ? s.rank : (s.d + 15) / 16);
      } else if (found == nullptr) {
        ASSERT_EQ(f.f64, 0.0) << f.name;
        ASSERT_EQ(f.i64, 0) << f.name;
      } else {
        ASSERT_EQ(found->i64, f.i64) << f.name;
        ASSERT_EQ(found->f64, f.f64) << f.name;
        ASSERT_EQ(found->str, f.str) << f.name;
      }
    }
    ASSERT_EQ(write(cwgt(), o.contents).file, w.file);
  }
  EXPECT_GT(written, 1000);
}

}  // namespace
}  // namespace calm::formats_test
