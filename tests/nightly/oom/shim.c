/* Preloaded into a program, makes one of its allocations fail: the CALM_OOM_AT-th after main began,
 * or with CALM_OOM_FROM=1 that one and all after it. When the program ends the number of
 * allocations tried is written to the file CALM_OOM_COUNT names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static atomic_long tried;
static long fail_at;
static int fail_from;
static atomic_int counting;

static int fails(void) {
  if (!atomic_load_explicit(&counting, memory_order_relaxed)) {
    return 0;
  }
  const long now = atomic_fetch_add(&tried, 1) + 1;
  if (fail_at > 0 && (fail_from ? now >= fail_at : now == fail_at)) {
    errno = ENOMEM;
    return 1;
  }
  return 0;
}

void *malloc(size_t bytes) { return fails() ? NULL : __libc_malloc(bytes); }

void *calloc(size_t count, size_t bytes) { return fails() ? NULL : __libc_calloc(count, bytes); }

void *realloc(void *old, size_t bytes) { return fails() ? NULL : __libc_realloc(old, bytes); }

void *aligned_alloc(size_t align, size_t bytes) {
  return fails() ? NULL : __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes) {
  void *memory = fails() ? NULL : __libc_memalign(align, bytes);
  if (memory == NULL) {
    return ENOMEM;
  }
  *out = memory;
  return 0;
}

static void report(void) {
  atomic_store(&counting, 0);
  const char *path = getenv("CALM_OOM_COUNT");
  const int file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file >= 0) {
    dprintf(file, "%ld\n", atomic_load(&tried));
    close(file);
  }
}

static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment) {
  const char *at = getenv("CALM_OOM_AT");
  const char *from = getenv("CALM_OOM_FROM");
  fail_at = at == NULL ? 0 : atol(at);
  fail_from = from != NULL && from[0] == '1';
  atexit(report);
  atomic_store(&counting, 1);
  const int code = real_main(argc, argv, environment);
  atomic_store(&counting, 0);
  return code;
}

typedef int start_fn(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                     void (*)(void), void *);
start_fn __libc_start_main;

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*exiting)(void), void *stack_end) {
  start_fn *start = (start_fn *)dlsym(RTLD_NEXT, "__libc_start_main");
  real_main = main;
  return start(counted_main, argc, argv, init, fini, exiting, stack_end);
}
