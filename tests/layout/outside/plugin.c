/* A domain in C: the SDK's headers are all it needs. */
#include <calm/domain.h>
#include <calm/plugin.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

static const calm_domain domain = {
    .size = sizeof(calm_domain),
    .doc = TEXT("nothing to say"),
    .template_spec = TEXT("WORD TEXT"),
};

static const calm_provided provides[] = {
    {CALM_KIND_DOMAIN, 1, TEXT(CALM_PLUGIN_ID), &domain},
};

static const calm_plugin plugin = {
    .size = sizeof(calm_plugin),
    .build = {.abi = CALM_ABI_CURRENT},
    .id = TEXT(CALM_PLUGIN_ID),
    .version = TEXT(CALM_PLUGIN_VERSION),
    .provides = {provides, 1, sizeof(calm_provided)},
};

const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max, calm_error *error) {
  (void)error;
  return (abi_min >> 16) <= CALM_ABI_MAJOR && (abi_max >> 16) >= CALM_ABI_MAJOR ? &plugin : NULL;
}
