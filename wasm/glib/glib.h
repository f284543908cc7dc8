/*
 * The part of GLib that libslirp uses (about sixty names), for a WebAssembly module.
 *
 * Real GLib is larger than all of libslirp and wants threads and an event loop. What libslirp needs of it is allocation that
 * does not fail, assertions, messages, a growing string and a random generator. Messages and the end of the world go to
 * JavaScript (host_log, abort), which turns them into a log line and a typed error on this stack alone.
 */
#ifndef SLIRP_WASM_GLIB_H
#define SLIRP_WASM_GLIB_H

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef int gboolean;
typedef char gchar;
typedef int gint;
typedef void *gpointer;
typedef int GPid;
typedef void (*GSpawnChildSetupFunc)(gpointer);
typedef int GSpawnFlags;
typedef struct GError {
    const char *message;
} GError;
typedef struct GDebugKey {
    const char *key;
    unsigned value;
} GDebugKey;
typedef char **GStrv;
typedef struct GRand GRand;
typedef struct GString {
    char *str;
    size_t len;
    size_t size;
} GString;

#define FALSE 0
#define TRUE 1
#define G_OS_UNIX 1
#define G_LITTLE_ENDIAN 1234
#define G_BIG_ENDIAN 4321
#define G_BYTE_ORDER G_LITTLE_ENDIAN
#define GLIB_SIZEOF_VOID_P 4
#define GLIB_CHECK_VERSION(major, minor, micro) 1
#define G_SPAWN_SEARCH_PATH 1
#define G_GNUC_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define G_UNLIKELY(expression) __builtin_expect(!!(expression), 0)
#define G_STATIC_ASSERT(expression) _Static_assert(expression, #expression)
#define G_N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define G_SIZEOF_MEMBER(type, member) sizeof(((type *)0)->member)
#define GUINT16_TO_BE(value) ((uint16_t)__builtin_bswap16(value))
#define GUINT16_FROM_BE(value) ((uint16_t)__builtin_bswap16(value))
#define GINT16_TO_BE(value) ((int16_t)__builtin_bswap16(value))
#define GINT16_FROM_BE(value) ((int16_t)__builtin_bswap16(value))
#define GUINT32_TO_BE(value) ((uint32_t)__builtin_bswap32(value))
#define GUINT32_FROM_BE(value) ((uint32_t)__builtin_bswap32(value))
#define GINT32_TO_BE(value) ((int32_t)__builtin_bswap32(value))
#define GINT32_FROM_BE(value) ((int32_t)__builtin_bswap32(value))
#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

/* The levels of host_log; the same numbers stand in src/slirp/module-log.ts. */
enum { GLIB_SHIM_DEBUG = 0, GLIB_SHIM_WARNING = 1, GLIB_SHIM_CRITICAL = 2, GLIB_SHIM_FATAL = 3 };

void glib_shim_log(int level, const char *format, ...) G_GNUC_PRINTF(2, 3);
_Noreturn void glib_shim_fail(const char *what, const char *file, int line);

#define g_debug(...) ((void)0)
#define g_warning(...) glib_shim_log(GLIB_SHIM_WARNING, __VA_ARGS__)
#define g_critical(...) glib_shim_log(GLIB_SHIM_CRITICAL, __VA_ARGS__)
/* GLib's g_error ends the process. Two of libslirp's three uses carry on with a fallback behind it, so it must not here. */
#define g_error(...) glib_shim_log(GLIB_SHIM_CRITICAL, __VA_ARGS__)
#define g_assert(expression) \
    ((expression) ? (void)0 : glib_shim_fail("assertion failed: " #expression, __FILE__, __LINE__))
#define g_assert_not_reached() glib_shim_fail("unreachable code reached", __FILE__, __LINE__)
#define g_warn_if_fail(expression) \
    ((expression) ? (void)0 : g_warning("check failed: %s", #expression))
#define g_warn_if_reached() g_warning("code reached that should not be")
#define g_return_if_fail(expression)                     \
    do {                                                 \
        if (!(expression)) {                             \
            g_critical("check failed: %s", #expression); \
            return;                                      \
        }                                                \
    } while (0)
#define g_return_val_if_fail(expression, value)          \
    do {                                                 \
        if (!(expression)) {                             \
            g_critical("check failed: %s", #expression); \
            return (value);                              \
        }                                                \
    } while (0)

/* Allocation never answers NULL for a size above 0: memory exhausted ends the stack, as in GLib it ends the process. */
void *g_malloc(size_t size);
void *g_malloc0(size_t size);
void *g_realloc(void *memory, size_t size);
char *g_strdup(const char *string);
#define g_free free
#define g_new(type, count) ((type *)g_malloc(sizeof(type) * (count)))
#define g_new0(type, count) ((type *)g_malloc0(sizeof(type) * (count)))

#define g_ascii_strcasecmp strcasecmp
#define g_snprintf snprintf
#define g_vsnprintf vsnprintf
#define g_strerror strerror
#define g_getenv(name) ((const char *)NULL)
size_t g_strlcpy(char *target, const char *source, size_t size);
char *g_strstr_len(const char *haystack, ptrdiff_t length, const char *needle);
gboolean g_str_has_prefix(const char *string, const char *prefix);
unsigned g_strv_length(char **strings);
void g_strfreev(char **strings);
unsigned g_parse_debug_string(const char *string, const GDebugKey *keys, unsigned count);

GString *g_string_new(const char *initial);
void g_string_append_printf(GString *string, const char *format, ...) G_GNUC_PRINTF(2, 3);
char *g_string_free(GString *string, gboolean free_text);

/* Uniform random numbers, seeded once by glib_shim_seed with bytes from the platform's secure generator. */
void glib_shim_seed(uint32_t seed_low, uint32_t seed_high);
GRand *g_rand_new(void);
void g_rand_free(GRand *generator);
int g_rand_int_range(GRand *generator, int begin, int end);

/* Declared for misc.c to compile, defined nowhere: the only user, libslirp's own fork_exec, is replaced (stack.c). */
gboolean g_shell_parse_argv(const char *line, int *count, char ***words, GError **error);
gboolean g_spawn_async_with_fds(const char *directory, char **words, char **environment, GSpawnFlags flags,
                                GSpawnChildSetupFunc setup, gpointer data, GPid *pid, int in, int out, int err,
                                GError **error);
void g_error_free(GError *error);

#endif
