/* Errors from C as JavaScript exceptions, and the checks that every function of the addon begins with. */
#ifndef SLIRP_WASM_THROW_H
#define SLIRP_WASM_THROW_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Throws an Error with `code` ("EBUSY"), `errno` (positive) and `syscall`. Answers NULL, so that a function of the addon may end with
 * `return throw_errno(...)`.
 */
napi_value throw_errno(napi_env env, int error, const char *syscall_name);

/* Throws a TypeError. Answers NULL. */
napi_value throw_type(napi_env env, const char *message);

/* The arguments of a call, at least `count` of them; false, and a TypeError, where there are fewer. */
bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, napi_value *self);

/* Whole numbers, booleans and texts out of JavaScript; false, and a TypeError, where it is something else. */
bool read_int32(napi_env env, napi_value value, int32_t *number);
bool read_uint32(napi_env env, napi_value value, uint32_t *number);
bool read_bool(napi_env env, napi_value value, bool *truth);
/* A text of less than `size` bytes in UTF-8, without NUL characters. */
bool read_text(napi_env env, napi_value value, char *text, size_t size);

napi_value make_int32(napi_env env, int32_t number);

struct view {
    void *data;
    size_t length;
};

/* A typed array's memory as it is now, and how many elements it has; false where the value is another array, or none. */
bool view_of(napi_env env, napi_value value, napi_typedarray_type wanted, struct view *view);

#endif
