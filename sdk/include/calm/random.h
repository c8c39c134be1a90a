/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11), as every backend draws them.
 *
 * Program rule 11: key = seed; counter = (lane / 4, row + row_base, micro_step, stream); lane % 4
 * picks the output word. Test vectors: calm/random_vectors.h. */
#pragma once

#include <stdint.h>

#include <calm/base.h>

typedef struct calm_philox4 {
  uint32_t word[4];
} calm_philox4;

/* Streams below this are reserved; a node's stream is calm_stream_id(origin) | CALM_STREAM_NODE. */
#define CALM_STREAM_NODE 0x80000000u
#define CALM_STREAM_SHUFFLE 1u
#define CALM_STREAM_SAMPLE 2u
#define CALM_STREAM_FISHER 3u

static inline calm_philox4 calm_philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2,
                                       uint32_t c3) {
  uint32_t k0 = (uint32_t)seed;
  uint32_t k1 = (uint32_t)(seed >> 32);
  calm_philox4 c = {{c0, c1, c2, c3}};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c.word[0];
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c.word[2];
    const calm_philox4 next = {{(uint32_t)(p1 >> 32) ^ c.word[1] ^ k0, (uint32_t)p1,
                                (uint32_t)(p0 >> 32) ^ c.word[3] ^ k1, (uint32_t)p0}};
    c = next;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/* 32-bit FNV-1a of a name: the stream of a node's origin, of a parameter's initialiser. */
static inline uint32_t calm_stream_id(calm_str name) {
  uint32_t hash = 2166136261u;
  for (uint64_t i = 0; i < name.len; ++i) {
    hash = (hash ^ (uint8_t)name.data[i]) * 16777619u;
  }
  return hash | CALM_STREAM_NODE;
}

/* Uniform in [0, 1), 24 bits: equal to the bit on every backend. */
static inline float calm_uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }
