/* Version of the plugin ABI and the build stamp every plugin carries. */
#pragma once

#include <calm/base.h>

/* A host accepts every plugin whose major equals its own and whose minimum minor it reaches:
 * fields are only appended, zero in an appended field means the behaviour before it existed. */
#define CALM_ABI_MAJOR 1
#define CALM_ABI_MINOR 0
#define CALM_ABI(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define CALM_ABI_CURRENT CALM_ABI(CALM_ABI_MAJOR, CALM_ABI_MINOR)

/* How a plugin was built; printed by `calm plugins -v`, never used to refuse a stable plugin. */
typedef struct calm_build {
  uint32_t abi;      /* CALM_ABI the plugin was compiled against */
  uint32_t debug;    /* 1 when compiled without NDEBUG */
  calm_str compiler; /* e.g. "gcc 12.2.0", static storage */
} calm_build;
