#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The byte tokenizer of spec section A: ids 0..255 are the bytes, 256..277 the named specials,
// 278..319 are reserved. Everything here is a pure function. [any]
namespace calm::text {

using Token = std::int32_t;

inline constexpr Token kVocabSize = 320;

inline constexpr Token kPad = 256;
inline constexpr Token kBos = 257;
inline constexpr Token kEos = 258;
inline constexpr Token kAtn = 259;
inline constexpr Token kCwd = 260;
inline constexpr Token kGit = 261;
inline constexpr Token kHist = 262;
inline constexpr Token kExit = 263;
inline constexpr Token kCmd = 264;
inline constexpr Token kEnv = 265;
inline constexpr Token kComp = 266;
inline constexpr Token kQuery = 267;
inline constexpr Token kNext = 268;
inline constexpr Token kEnd = 269;
inline constexpr Token kWord = 270;
inline constexpr Token kPos = 271;
inline constexpr Token kNote = 272;
inline constexpr Token kIpa = 273;
inline constexpr Token kDef = 274;
inline constexpr Token kQuote = 275;
inline constexpr Token kBy = 276;
inline constexpr Token kRef = 277;

// "BOS" -> 257 and so on; also the input alias FILE -> QUERY (A.1). nullopt for any other name.
std::optional<Token> special_by_name(std::string_view name);

// 257 -> "BOS"; empty for ids that are no named special. Never "FILE".
std::string_view special_name(Token id);

// A.2: one id a byte, no special is ever recognised.
std::vector<Token> encode(std::string_view text);
void append_bytes(std::vector<Token> &out, std::string_view text);

// A.3: [token, bytes..., END].
std::vector<Token> encode_frame(Token token, std::string_view content);

// A.4: the bytes; every id that is not a byte is dropped. The result need not be UTF-8.
std::string decode(std::span<const Token> ids);

// A.5: valid UTF-8; every id that is not a byte becomes one space before the bytes are decoded.
std::string decode_str(std::span<const Token> ids);

// A.6: printable ASCII as it is, other bytes as \xhh, the rest as <NAME>. Not invertible.
std::string decode_with_specials(std::span<const Token> ids);

// A.7: the name of one id, e.g. "a", "\\" (two backslashes), "0x0a", "<BOS>", "<RESERVED_300>".
std::string token_name(Token id);

// A.8: index of the first ATN, 0 when there is none.
std::size_t find_cmd_pos(std::span<const Token> ids);

// A.10: what a checkpoint says about its tokenizer.
struct TokenizerInfo {
  std::string name;  // "calm"
  Token vocab_size;
  Token pad_id;
  std::vector<std::pair<Token, std::string>> special_tokens;  // 256..277, printed form "<NAME>"
};
TokenizerInfo tokenizer_info();

// Throws Error(CALM_CORRUPT_DATA) unless `name` is the one of tokenizer_info() (A.10).
void check_tokenizer_name(std::string_view name);

}  // namespace calm::text
