/*
 * The addon behind the host network's own sockets (src/node/native-sockets.ts): BSD sockets without Node's streams in between.
 *
 * Policy is TypeScript's: when to wait, what an error means to a stream. Here is one function a system call, and the one place where readiness
 * is asked for (socket-poller.h).
 */
#include <errno.h>
#include <net/if.h>
#include <node_api.h>

#include "socket-poller.h"
#include "throw.h"

/* interfaceIndex(name): 0 where there is none of that name. */
static napi_value interface_index(napi_env env, napi_callback_info info)
{
    napi_value arguments[1], number;
    char name[IF_NAMESIZE];
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_text(env, arguments[0], name, sizeof name))
        return NULL;
    return napi_create_uint32(env, if_nametoindex(name), &number) == napi_ok ? number : NULL;
}

/* interfaceName(index): "" where there is none of that number. */
static napi_value interface_name(napi_env env, napi_callback_info info)
{
    napi_value arguments[1], text;
    char name[IF_NAMESIZE] = "";
    uint32_t index;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_uint32(env, arguments[0], &index))
        return NULL;
    if (if_indextoname(index, name) == NULL)
        name[0] = 0;
    return napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text) == napi_ok ? text : NULL;
}

NAPI_MODULE_INIT()
{
#define FUNCTION(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}
    const napi_property_descriptor functions[] = {
        FUNCTION("createPoller", create_poller),
        FUNCTION("interfaceIndex", interface_index),
        FUNCTION("interfaceName", interface_name),
    };
#undef FUNCTION
    if (napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok)
        return NULL;
    return exports;
}
