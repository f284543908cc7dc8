/*
 * The addon behind src/backends/tap.ts: TUN descriptors and the ways to get, configure and use them.
 *
 * Policy is TypeScript's: here is one function a system call, each with its arguments checked, and the data path (frame-port.h).
 * Errors are exceptions with the system's code; the addon keeps nothing between calls, so that any number of threads can load it.
 */
#include <node_api.h>

#include "descriptors.h"
#include "frame-port.h"
#include "pass-descriptor.h"

NAPI_MODULE_INIT()
{
#define FUNCTION(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}
    const napi_property_descriptor functions[] = {
        FUNCTION("openTun", open_tun),
        FUNCTION("openNetlink", open_netlink),
        FUNCTION("setInterface", set_interface),
        FUNCTION("getInterface", get_interface),
        FUNCTION("control", control_tun),
        FUNCTION("getDeviceNamespace", get_device_namespace),
        FUNCTION("getHardwareAddress", get_hardware_address),
        FUNCTION("prepareDescriptor", prepare_descriptor),
        FUNCTION("closeDescriptor", close_descriptor),
        FUNCTION("makeSocketPair", make_socket_pair),
        FUNCTION("receiveDescriptor", receive_descriptor),
    };
#undef FUNCTION
    napi_value plain = define_port(env, false), of_vhost = define_port(env, true);
    if (plain == NULL || of_vhost == NULL ||
        napi_set_named_property(env, exports, "FramePort", plain) != napi_ok ||
        napi_set_named_property(env, exports, "VhostPort", of_vhost) != napi_ok ||
        napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok)
        return NULL;
    return exports;
}
