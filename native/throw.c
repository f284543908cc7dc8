#include "throw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

napi_value throw_errno(napi_env env, int error, const char *syscall_name)
{
    /* libuv's numbers are the system's, negated; its names are the ones that Node's own errors have. One that TAPs give it lacks. */
    char name[64] = "EBADFD", reason[96] = "the device is gone", message[200];
    if (error != EBADFD) {
        uv_err_name_r(-error, name, sizeof name);
        uv_strerror_r(-error, reason, sizeof reason);
    }
    snprintf(message, sizeof message, "%s: %s, %s", name, reason, syscall_name);
    napi_value code, text, object, value;
    if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) == napi_ok &&
        napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text) == napi_ok &&
        napi_create_error(env, code, text, &object) == napi_ok) {
        if (napi_create_int32(env, error, &value) == napi_ok)
            napi_set_named_property(env, object, "errno", value);
        if (napi_create_string_utf8(env, syscall_name, NAPI_AUTO_LENGTH, &value) == napi_ok)
            napi_set_named_property(env, object, "syscall", value);
        napi_throw(env, object);
    }
    return NULL;
}

napi_value throw_type(napi_env env, const char *message)
{
    napi_throw_type_error(env, NULL, message);
    return NULL;
}

bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, napi_value *self)
{
    size_t given = count;
    if (napi_get_cb_info(env, info, &given, arguments, self, NULL) != napi_ok)
        return false;
    if (given >= count)
        return true;
    throw_type(env, "too few arguments");
    return false;
}

/* Node-API would make 0 of NaN and of infinity, and cut off what is too large: closing descriptor 0 by mistake is no small one. */
static bool read_whole(napi_env env, napi_value value, double least, double most, double *number)
{
    if (napi_get_value_double(env, value, number) == napi_ok && *number >= least && *number <= most &&
        *number == (double)(int64_t)*number)
        return true;
    throw_type(env, "a whole number is expected, and of 32 bits");
    return false;
}

bool read_int32(napi_env env, napi_value value, int32_t *number)
{
    double whole;
    if (!read_whole(env, value, INT32_MIN, INT32_MAX, &whole))
        return false;
    *number = (int32_t)whole;
    return true;
}

bool read_uint32(napi_env env, napi_value value, uint32_t *number)
{
    double whole;
    if (!read_whole(env, value, 0, UINT32_MAX, &whole))
        return false;
    *number = (uint32_t)whole;
    return true;
}

bool read_bool(napi_env env, napi_value value, bool *truth)
{
    if (napi_get_value_bool(env, value, truth) == napi_ok)
        return true;
    throw_type(env, "a boolean is expected");
    return false;
}

bool read_text(napi_env env, napi_value value, char *text, size_t size)
{
    size_t length;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
        throw_type(env, "a text is expected");
        return false;
    }
    if (length >= size) {
        throw_type(env, "a text is too long");
        return false;
    }
    if (napi_get_value_string_utf8(env, value, text, size, &length) != napi_ok)
        return false;
    if (memchr(text, 0, length) == NULL)
        return true;
    throw_type(env, "a text has a NUL character");
    return false;
}

napi_value make_int32(napi_env env, int32_t number)
{
    napi_value value = NULL;
    napi_create_int32(env, number, &value);
    return value;
}

bool view_of(napi_env env, napi_value value, napi_typedarray_type wanted, struct view *view)
{
    napi_typedarray_type type;
    return napi_get_typedarray_info(env, value, &type, &view->length, &view->data, NULL, NULL) == napi_ok &&
           type == wanted;
}
