/*
 * The addon behind `slirp-wasm netns`: what Node itself cannot do there. Descriptors come from the helper (netns-helper.c) over a socket,
 * and a process gives up what it needs no more.
 */
#include <node_api.h>

#include "give-up.h"
#include "pass-descriptor.h"

NAPI_MODULE_INIT()
{
#define FUNCTION(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}
    const napi_property_descriptor functions[] = {
        FUNCTION("makeSocketPair", make_socket_pair),
        FUNCTION("receiveDescriptor", receive_descriptor),
        FUNCTION("closeDescriptor", close_descriptor),
        FUNCTION("allowOnlyNetworking", allow_only_networking),
        FUNCTION("replaceProcess", replace_process),
    };
#undef FUNCTION
    if (napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok)
        return NULL;
    return exports;
}
