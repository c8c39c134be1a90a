#pragma once

#include <array>
#include <cstdint>

namespace calm::bench {

/// How many of the 117 323 sequences of the dictionary data set (GCIDE, its training part) have
/// 8 i to 8 i + 7 tokens, <BOS> and <EOS> among them.
inline constexpr std::array<std::uint32_t, 97> kDictionaryLengths{
    0,    0,    1,    214,  1982, 5273, 6437, 5489, 4461, 4346, 5021, 5792, 5973, 5008,
    3776, 3347, 3371, 3475, 3483, 3434, 2851, 2368, 2192, 2132, 2108, 1916, 1808, 1608,
    1458, 1341, 1284, 1234, 1150, 1102, 997,  914,  912,  881,  840,  758,  788,  719,
    600,  597,  621,  569,  535,  541,  485,  475,  461,  436,  429,  403,  420,  410,
    373,  326,  345,  331,  292,  294,  318,  256,  265,  275,  229,  251,  224,  233,
    234,  198,  185,  187,  199,  195,  189,  164,  163,  184,  162,  153,  151,  143,
    148,  146,  149,  148,  135,  122,  133,  128,  115,  118,  115,  110,  11};

}  // namespace calm::bench
