/* Data types and tensor descriptions. Arrays are dense and row-major. */
#pragma once

#include <calm/base.h>

#define CALM_MAX_RANK 8

typedef uint32_t calm_dtype;           /* comment: DLPack code, bits */
static const calm_dtype CALM_F32 = 1;  /* kDLFloat 32 */
static const calm_dtype CALM_F64 = 2;  /* kDLFloat 64 */
static const calm_dtype CALM_BF16 = 3; /* kDLBfloat 16 */
static const calm_dtype CALM_F16 = 4;  /* kDLFloat 16 */
static const calm_dtype CALM_I8 = 5;   /* kDLInt 8 */
static const calm_dtype CALM_U8 = 6;   /* kDLUInt 8 */
static const calm_dtype CALM_U16 = 7;  /* kDLUInt 16 */
static const calm_dtype CALM_I32 = 8;  /* kDLInt 32 */
static const calm_dtype CALM_U32 = 9;  /* kDLUInt 32 */
static const calm_dtype CALM_I64 = 10; /* kDLInt 64 */

/* What axis 0 counts (program rule 1). A backend may skip dead rows of a `tokens` axis. */
typedef uint32_t calm_axis;
static const calm_axis CALM_AXIS_NONE = 0;
static const calm_axis CALM_AXIS_TOKENS = 1;
static const calm_axis CALM_AXIS_SEQUENCES = 2;
static const calm_axis CALM_AXIS_CHUNKS = 3;

/* The static type of a value: what shape inference computes. Rank 0 is a scalar. */
typedef struct calm_type {
  calm_dtype dtype;
  uint32_t rank;
  int64_t shape[CALM_MAX_RANK];
  calm_axis axis0;
  uint32_t reserved;
} calm_type;

/* Who gives a tensor its contents. */
typedef uint32_t calm_role;
static const calm_role CALM_ROLE_TEMP = 0;   /* written by a node, lives in the workspace */
static const calm_role CALM_ROLE_INPUT = 1;  /* written by the host before run */
static const calm_role CALM_ROLE_OUTPUT = 2; /* written by a node, read by the host after run */
static const calm_role CALM_ROLE_PARAM = 3;  /* weights */
static const calm_role CALM_ROLE_STATE = 4;  /* survives from run to run */
static const calm_role CALM_ROLE_CONST = 5;  /* in the program's constant data */
static const calm_role CALM_ROLE_STEP = 6;   /* scalar in the step-value block given to run */
