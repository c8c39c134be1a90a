/* Page one of the ABI: the single symbol a plugin exports and the descriptor it returns. */
#pragma once

#include <calm/base.h>
#include <calm/version.h>

/* What a plugin can provide. The vtable of each kind is defined in the header of that name. */
typedef uint32_t calm_kind;
static const calm_kind CALM_KIND_OPERATOR = 1;  /* calm_operator */
static const calm_kind CALM_KIND_BACKEND = 2;   /* calm_backend */
static const calm_kind CALM_KIND_FORMAT = 3;    /* calm_format */
static const calm_kind CALM_KIND_TOKENIZER = 4; /* calm_tokenizer */
static const calm_kind CALM_KIND_MODEL = 5;     /* calm_model */
static const calm_kind CALM_KIND_TRAINER = 6;   /* calm_trainer */
static const calm_kind CALM_KIND_DOMAIN = 7;    /* calm_domain */

typedef struct calm_provided {
  calm_kind kind;
  uint32_t revision;
  calm_str id;
  const void
      *vtable; /* starts with `uint32_t size`; the host copies it, missing slots are stubbed */
} calm_provided;

/* Set when the plugin uses anything under calm/draft/: accepted by the same build only. */
#define CALM_PLUGIN_USES_DRAFT 1u

typedef struct calm_plugin {
  uint32_t size;
  uint32_t flags;
  calm_build build;
  calm_str id; /* [a-z0-9_.-]+, unique */
  calm_str version;
  calm_str vendor;
  calm_str license; /* SPDX */
  calm_str description;
  calm_table provides; /* of calm_provided */
} calm_plugin;

/* The one exported symbol. Pure: starts no thread, opens no file or device; may be called just to
 * list the plugin, any number of times. Returns a descriptor of static storage, or null and a
 * reason when no ABI version in [abi_min, abi_max] is spoken. // [scan] may fail */
CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error);
typedef const calm_plugin *(*calm_plugin_query_fn)(uint32_t abi_min, uint32_t abi_max,
                                                   calm_error *error);
