/* See glib.h. */
#include "glib.h"

#include "../host.h"

void glib_shim_log(int level, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length > 0) {
        host_log(level, text, MIN((size_t)length, sizeof(text) - 1));
    }
}

_Noreturn void glib_shim_fail(const char *what, const char *file, int line)
{
    glib_shim_log(GLIB_SHIM_FATAL, "%s (%s:%d)", what, file, line);
    abort();
}

/* What the C library's assert() expands to: the message must reach the log before the module aborts. */
_Noreturn void __assert_fail(const char *expression, const char *file, int line, const char *function)
{
    (void)function;
    glib_shim_fail(expression, file, line);
}

static void *check_allocated(void *memory, size_t size)
{
    if (!memory && size) {
        glib_shim_log(GLIB_SHIM_FATAL, "memory exhausted: no room for %lu bytes", (unsigned long)size);
        abort();
    }
    return memory;
}

void *g_malloc(size_t size)
{
    return check_allocated(malloc(size), size);
}

void *g_malloc0(size_t size)
{
    return check_allocated(calloc(1, size), size);
}

void *g_realloc(void *memory, size_t size)
{
    return check_allocated(realloc(memory, size), size);
}

char *g_strdup(const char *string)
{
    if (!string) {
        return NULL;
    }
    size_t size = strlen(string) + 1;
    return memcpy(g_malloc(size), string, size);
}

size_t g_strlcpy(char *target, const char *source, size_t size)
{
    size_t length = strlen(source);
    if (size) {
        size_t copied = MIN(length, size - 1);
        memcpy(target, source, copied);
        target[copied] = '\0';
    }
    return length;
}

char *g_strstr_len(const char *haystack, ptrdiff_t length, const char *needle)
{
    size_t wanted = strlen(needle);
    size_t available = length < 0 ? strlen(haystack) : strnlen(haystack, length);
    for (size_t at = 0; at + wanted <= available; at++) {
        if (memcmp(haystack + at, needle, wanted) == 0) {
            return (char *)haystack + at;
        }
    }
    return NULL;
}

gboolean g_str_has_prefix(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

unsigned g_strv_length(char **strings)
{
    unsigned count = 0;
    while (strings[count]) {
        count++;
    }
    return count;
}

void g_strfreev(char **strings)
{
    for (char **at = strings; at && *at; at++) {
        free(*at);
    }
    free(strings);
}

unsigned g_parse_debug_string(const char *string, const GDebugKey *keys, unsigned count)
{
    unsigned flags = 0;
    for (unsigned i = 0; i < count; i++) {
        flags |= strstr(string, keys[i].key) ? keys[i].value : 0;
    }
    return flags;
}

GString *g_string_new(const char *initial)
{
    GString *string = g_new0(GString, 1);
    string->str = g_strdup(initial ? initial : "");
    string->len = strlen(string->str);
    string->size = string->len + 1;
    return string;
}

void g_string_append_printf(GString *string, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        size_t needed = string->len + length + 1;
        if (needed > string->size) {
            string->size = needed * 2;
            string->str = g_realloc(string->str, string->size);
        }
        vsnprintf(string->str + string->len, length + 1, format, again);
        string->len += length;
    }
    va_end(again);
}

char *g_string_free(GString *string, gboolean free_text)
{
    char *text = string->str;
    free(string);
    if (free_text) {
        free(text);
        return NULL;
    }
    return text;
}

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"): libslirp wants ports, not keys. */
struct GRand {
    uint64_t state;
};

static uint64_t seed = 0x9e3779b97f4a7c15u;

void glib_shim_seed(uint32_t seed_low, uint32_t seed_high)
{
    seed = ((uint64_t)seed_high << 32 | seed_low) | 1;
}

GRand *g_rand_new(void)
{
    GRand *generator = g_new(GRand, 1);
    generator->state = seed;
    return generator;
}

void g_rand_free(GRand *generator)
{
    free(generator);
}

int g_rand_int_range(GRand *generator, int begin, int end)
{
    generator->state ^= generator->state >> 12;
    generator->state ^= generator->state << 25;
    generator->state ^= generator->state >> 27;
    uint32_t value = (generator->state * 0x2545f4914f6cdd1du) >> 32;
    return begin + (int)(((uint64_t)value * (uint32_t)(end - begin)) >> 32);
}
