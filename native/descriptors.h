/* Descriptors: opened in a namespace, and what a TUN descriptor can be asked and told (linux/if_tun.h). */
#ifndef SLIRP_WASM_DESCRIPTORS_H
#define SLIRP_WASM_DESCRIPTORS_H

#include <node_api.h>

/* openTun(path, namespaceFd): the descriptor of a TUN device that has no interface yet. Non-blocking, closed by exec. */
napi_value open_tun(napi_env env, napi_callback_info info);

/* openNetlink(namespaceFd, groups): a NETLINK_ROUTE socket, non-blocking, closed by exec. */
napi_value open_netlink(napi_env env, napi_callback_info info);

/* setInterface(fd, name, flags): TUNSETIFF; the name that the interface has then. */
napi_value set_interface(napi_env env, napi_callback_info info);

/* getInterface(fd): TUNGETIFF; { name, flags }. */
napi_value get_interface(napi_env env, napi_callback_info info);

/* control(fd, command, value): one of the TUN requests that take or give a number, by the number within 'T'. */
napi_value control_tun(napi_env env, napi_callback_info info);

/* getDeviceNamespace(fd): a descriptor of the network namespace that the interface is in. */
napi_value get_device_namespace(napi_env env, napi_callback_info info);

/* getHardwareAddress(fd): SIOCGIFHWADDR of the interface, wherever it is; a Uint8Array of six bytes. */
napi_value get_hardware_address(napi_env env, napi_callback_info info);

/* prepareDescriptor(fd): makes a descriptor that came from elsewhere non-blocking and closed by exec. */
napi_value prepare_descriptor(napi_env env, napi_callback_info info);

#endif
