#include <array>
#include <limits>

#include "variants.hpp"

namespace calm::formats_test {
namespace {

using Bytes = std::vector<std::byte>;

// Every size 1 but l_max 8; spec E.7 then gives 320 + 2 + 17 parameters.
constexpr std::uint32_t kParams = 339;
constexpr std::size_t kHeader = 48;
const std::string kMeta = "shell\nBOS;CMD:input\n| ;\n";
const std::size_t kWeights = kHeader + kMeta.size();

void append_block(Bytes &file) {
  for (std::uint32_t i = 0; i < kParams; ++i) {
    file.resize(file.size() + 4);
    f32(file.size() - 4, 0.01F * static_cast<float>(i))(file);
  }
}

Bytes valid() {
  Bytes file(kHeader);
  text_at(0, "CWGT")(file);
  u16(4, 5)(file);
  u16(6, 1)(file);
  u16(8, 320)(file);
  u16(10, 1)(file);
  for (const std::size_t at : {12u, 13u, 14u, 15u, 33u, 38u}) {
    u8(at, 1)(file);
  }
  u16(16, 8)(file);
  u32(18, kParams)(file);
  u16(22, 600)(file);
  u32(34, static_cast<std::uint32_t>(kMeta.size()))(file);
  replace(kHeader, 0, kMeta)(file);
  append_block(file);
  return file;
}

// The valid file with other metadata.
Edit meta(const std::string &text) {
  return both(u32(34, static_cast<std::uint32_t>(text.size())),
              replace(kHeader, kMeta.size(), text));
}

Edit blocks(int more) {
  return [=](Bytes &file) {
    for (int i = 0; i < more; ++i) {
      append_block(file);
    }
  };
}
Edit ewc() { return both(u16(6, 3), blocks(2)); }

// A second layer, with its 17 parameters or without.
Edit second_layer(bool data) {
  return both(both(u8(12, 2), u32(18, kParams + 17)), with_more(data ? 68 : 0));
}

Edit all_sizes_255() {
  Edit edit = u16(10, 65535);
  for (const std::size_t at : {12u, 13u, 14u, 15u, 33u, 38u}) {
    edit = both(edit, u8(at, 255));
  }
  return edit;
}

Edit sampler(std::uint8_t byte) { return text_at(22, std::string(11, static_cast<char>(byte))); }

const float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<Row> rows() {
  const calm_status ok = CALM_OK, bad = CALM_CORRUPT_DATA, age = CALM_VERSION;
  const std::size_t last = kWeights + 4 * (kParams - 1);
  return {
      {"as it is", first(kWeights + 4 * kParams), ok, ""},
      // shorter than a header, or than what the header says
      {"empty", first(0), bad, "offset 0: expected a header of 48 bytes"},
      {"1 byte", first(1), bad, "offset 1: expected a header of 48 bytes"},
      {"magic alone", first(4), bad, "offset 4: expected a header of 48 bytes"},
      {"47 bytes", first(47), bad, "offset 47: expected a header of 48 bytes"},
      {"header alone", first(kHeader), bad, "offset 48: expected a file of"},
      {"cut in the metadata", first(kHeader + 3), bad, "offset 51: expected a file of"},
      {"no weights", first(kWeights), bad, "expected a file of"},
      {"half of the weights", first(kWeights + 2 * kParams), bad, "expected a file of"},
      {"one weight short", without_last(4), bad, "expected a file of"},
      {"one byte short", without_last(1), bad, "expected a file of"},
      // longer
      {"one byte more", with_more(1), bad, "expected a file of"},
      {"one weight more", with_more(4), bad, "expected a file of"},
      {"a page more", with_more(4096), bad, "expected a file of"},
      {"a megabyte more", with_more(1 << 20), bad, "expected a file of"},
      {"the file twice", twice(), bad, "expected a file of"},
      // magic
      {"magic in small letters", text_at(0, "cwgt"), bad, "offset 0: expected the magic CWGT"},
      {"magic CWGU", text_at(0, "CWGU"), bad, "magic"},
      {"magic of CTDS", text_at(0, "CTDS"), bad, "magic"},
      {"magic backwards", text_at(0, "TGWC"), bad, "magic"},
      {"magic of zeros", u32(0, 0), bad, "magic"},
      {"a byte before the magic", replace(0, 0, "\n"), bad, "magic"},
      // arch_version
      {"version 0", u16(4, 0), age, "offset 4: made by an older version"},
      {"version 1", u16(4, 1), age, "older version"},
      {"version 2", u16(4, 2), age, "older version"},
      {"version 3", u16(4, 3), ok, ""},
      {"version 4", u16(4, 4), ok, ""},
      {"version 6", u16(4, 6), age, "offset 4: made by a newer version"},
      {"version 9", u16(4, 9), age, "newer version"},
      {"version 255", u16(4, 255), age, "newer version"},
      {"version 256", u16(4, 256), age, "newer version"},
      {"version 5 big-endian", u16(4, 0x0500), age, "newer version"},
      {"version 65535", u16(4, 65535), age, "newer version"},
      // flags
      {"flags 0", u16(6, 0), bad, "offset 6: expected the flag of a tied head"},
      {"flags 2", both(ewc(), u16(6, 2)), bad, "the flag of a tied head"},
      {"flags 3 without its blocks", u16(6, 3), bad, "expected a file of"},
      {"flags 4", u16(6, 4), bad, "offset 6: expected flag bits 0 and 1 only, found 4"},
      {"flags 5", u16(6, 5), bad, "flag bits"},
      {"flags 7", both(ewc(), u16(6, 7)), bad, "flag bits"},
      {"flags 9", u16(6, 9), bad, "flag bits"},
      {"flags 257", u16(6, 257), bad, "flag bits"},
      {"flags 32769", u16(6, 32769), bad, "flag bits"},
      {"flags 65535", u16(6, 65535), bad, "flag bits"},
      // vocab_size
      {"vocab_size 0", u16(8, 0), bad, "offset 8: expected vocab_size 320, found 0"},
      {"vocab_size 1", u16(8, 1), bad, "vocab_size"},
      {"vocab_size 256", u16(8, 256), bad, "vocab_size"},
      {"vocab_size 319", u16(8, 319), bad, "vocab_size"},
      {"vocab_size 321", u16(8, 321), bad, "vocab_size"},
      {"vocab_size 320 big-endian", u16(8, 0x4001), bad, "vocab_size"},
      {"vocab_size 65535", u16(8, 65535), bad, "vocab_size"},
      // sizes of 0
      {"d_model 0", u16(10, 0), bad, "offset 10: expected d_model of at least 1, found 0"},
      {"n_layers 0", u8(12, 0), bad, "offset 12: expected n_layers"},
      {"n_layers 0, counted", both(u8(12, 0), u32(18, 322)), bad, "offset 12: expected n_layers"},
      {"ffn_expand 0", u8(13, 0), bad, "offset 13: expected ffn_expand"},
      {"expand 0", u8(14, 0), bad, "offset 14: expected expand"},
      {"d_state 0", u8(15, 0), bad, "offset 15: expected d_state"},
      {"l_max 0", u16(16, 0), bad, "offset 16: expected l_max"},
      {"d_conv 0", u8(33, 0), bad, "offset 33: expected d_conv"},
      // sizes that the parameters do not fit
      {"d_model 2", u16(10, 2), bad, "offset 18: expected param_count"},
      {"d_model 256", u16(10, 256), bad, "param_count"},
      {"d_model 65535", u16(10, 65535), bad, "param_count"},
      {"n_layers 2", u8(12, 2), bad, "param_count 356 for these sizes, found 339"},
      {"n_layers 255", u8(12, 255), bad, "param_count"},
      {"ffn_expand 2", u8(13, 2), bad, "param_count"},
      {"ffn_expand 255", u8(13, 255), bad, "param_count"},
      {"expand 2", u8(14, 2), bad, "param_count"},
      {"expand 255", u8(14, 255), bad, "param_count"},
      {"d_state 2", u8(15, 2), bad, "param_count"},
      {"d_state 255", u8(15, 255), bad, "param_count"},
      {"d_conv 2", u8(33, 2), bad, "param_count"},
      {"d_conv 255", u8(33, 255), bad, "param_count"},
      {"dt_rank 2", u8(38, 2), bad, "param_count"},
      {"dt_rank 255", u8(38, 255), bad, "param_count"},
      {"all sizes at their most", all_sizes_255(), bad, "param_count"},
      {"sizes swapped", both(u8(13, 2), u8(15, 2)), bad, "param_count"},
      // sizes that it does not depend on, or that it is right for
      {"l_max 1", u16(16, 1), ok, ""},
      {"l_max 65535", u16(16, 65535), ok, ""},
      {"dt_rank 0", u8(38, 0), ok, ""},
      {"a second layer", second_layer(true), ok, ""},
      {"a second layer without its weights", second_layer(false), bad, "expected a file of"},
      // param_count
      {"param_count 0", u32(18, 0), bad, "offset 18: expected param_count 339 for these sizes"},
      {"param_count 1 less", u32(18, kParams - 1), bad, "param_count 339"},
      {"param_count 1 more", u32(18, kParams + 1), bad, "param_count 339"},
      {"param_count 1 less, cut", both(u32(18, kParams - 1), without_last(4)), bad, "param_count"},
      {"param_count 1 more, grown", both(u32(18, kParams + 1), with_more(4)), bad, "param_count"},
      {"param_count 2^16 more", u32(18, kParams + 65536), bad, "param_count"},
      {"param_count 2^30 more", u32(18, kParams + (1u << 30)), bad, "param_count"},
      {"param_count 2^31", u32(18, 1u << 31), bad, "param_count"},
      {"param_count 2^32 - 1", u32(18, ~0u), bad, "param_count"},
      {"param_count big-endian", u32(18, 0x53010000u), bad, "param_count"},
      // meta_size
      {"meta_size 0", u32(34, 0), bad, "expected a file of"},
      {"meta_size 1 less", u32(34, 23), bad, "expected a file of"},
      {"meta_size 1 more", u32(34, 25), bad, "expected a file of"},
      {"meta_size 4096 without it", u32(34, 4096), bad, "expected a file of"},
      {"meta_size 4097", meta(std::string(4097, 'x')), bad, "offset 34: expected meta_size of at"},
      {"meta_size 65536", meta(std::string(65536, 'x')), bad, "meta_size"},
      {"meta_size 2^31", u32(34, 1u << 31), bad, "meta_size"},
      {"meta_size 2^32 - 1", u32(34, ~0u), bad, "meta_size"},
      {"meta_size that takes the weights", u32(34, 24 + 4 * kParams), bad, "expected a file of"},
      // metadata: any bytes are texts
      {"no metadata", meta(""), ok, ""},
      {"metadata without a line end", meta("shell"), ok, ""},
      {"metadata of a line end", meta("\n"), ok, ""},
      {"metadata of five lines", meta("a\nb\nc\nd\ne\n"), ok, ""},
      {"metadata of 4096 line ends", meta(std::string(4096, '\n')), ok, ""},
      {"metadata of 4096 letters", meta(std::string(4096, 'x')), ok, ""},
      {"metadata with zeros", meta(std::string("a\0b\n\0\n\0", 7)), ok, ""},
      {"metadata with escapes", meta("\x1b[2J\x1b]0;x\x07\n\x9b\n\x7f\n"), ok, ""},
      {"metadata with carriage returns", meta("shell\r\nBOS\r\n\r\n"), ok, ""},
      {"metadata not UTF-8", meta("\xff\xfe\n\xc3\n\xe2\x82\n"), ok, ""},
      {"metadata with surrogates", meta("\xed\xa0\x80\n\xf4\x90\x80\x80\n\xc0\x80"), ok, ""},
      {"metadata of 4096 bad bytes", meta(std::string(4096, '\xff')), ok, ""},
      {"metadata with a template that is none", meta("shell\n;;BOGUS(\n\n"), ok, ""},
      // sampler defaults
      {"no sampler defaults", sampler(0), ok, ""},
      {"sampler defaults at their most", sampler(255), ok, ""},
      // reserved bytes
      {"reserved byte 0", u8(39, 1), bad, "offset 39: expected a reserved byte of 0, found 1"},
      {"reserved byte 1", u8(40, 1), bad, "offset 40: expected a reserved byte"},
      {"reserved byte 4", u8(43, 128), bad, "offset 43: expected a reserved byte"},
      {"reserved byte 7", u8(46, 255), bad, "offset 46: expected a reserved byte"},
      {"reserved byte 8", u8(47, 1), bad, "offset 47: expected a reserved byte"},
      // weights
      {"first weight nan", f32(kWeights, kNan), bad,
       "offset 72: expected a finite value, found nan"},
      {"a weight -nan", f32(kWeights + 400, -kNan), bad, "offset 472: expected a finite value"},
      {"a signalling nan", u32(kWeights + 4, 0x7f800001u), bad, "offset 76: expected a finite"},
      {"a weight inf", f32(kWeights + 8, kInf), bad, "finite value, found an infinity"},
      {"a weight -inf", f32(kWeights + 8, -kInf), bad, "finite value, found an infinity"},
      {"last weight inf", f32(last, kInf), bad, "offset 1424: expected a finite value"},
      {"all bits set", both(u32(last, ~0u), u32(kWeights, ~0u)), bad,
       "offset 72: expected a finite"},
      {"largest float", f32(last, std::numeric_limits<float>::max()), ok, ""},
      {"smallest float", u32(last, 1), ok, ""},
      {"minus zero", f32(last, -0.0F), ok, ""},
      // EWC blocks
      {"ewc", ewc(), ok, ""},
      {"ewc without its flag", blocks(2), bad, "expected a file of"},
      {"ewc with one block", both(u16(6, 3), blocks(1)), bad, "expected a file of"},
      {"ewc with four blocks", both(u16(6, 3), blocks(3)), bad, "expected a file of"},
      {"ewc one byte short", both(ewc(), without_last(1)), bad, "expected a file of"},
      {"ewc one byte more", both(ewc(), with_more(1)), bad, "expected a file of"},
      {"ewc with nan in F", both(ewc(), f32(kWeights, kNan)), bad, "offset 72: expected a finite"},
      {"ewc with inf in the anchor", both(ewc(), f32(kWeights + 4 * kParams, kInf)), bad,
       "offset 1428: expected a finite value"},
      {"ewc with nan in the weights", both(ewc(), f32(kWeights + 8 * kParams, kNan)), bad,
       "offset 2784: expected a finite value"},
      {"ewc and 4097 bytes of metadata", both(ewc(), meta(std::string(4097, 'x'))), bad,
       "meta_size"},
      // something else
      {"zeros", whole(std::string(1500, '\0')), bad, "magic"},
      {"ones", whole(std::string(1500, '\xff')), bad, "magic"},
      {"a text", whole(std::string(100, 'A') + '\n'), bad, "magic"},
      {"magic and zeros", whole("CWGT" + std::string(1500, '\0')), age, "older version"},
      {"magic and ones", whole("CWGT" + std::string(1500, '\xff')), age, "newer version"},
      {"magic and letters", whole("CWGT" + std::string(1500, 'A')), age, "newer version"},
  };
}

}  // namespace

std::vector<Variant> cwgt_variants() { return make_variants(rows(), valid()); }

}  // namespace calm::formats_test
