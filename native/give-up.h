/* What a process gives up for good. */
#ifndef SLIRP_WASM_GIVE_UP_H
#define SLIRP_WASM_GIVE_UP_H

#include <node_api.h>

/*
 * allowOnlyNetworking(): from now on all threads of the process have only the system calls that a running network needs (seccomp(2)).
 * Everything else fails with EPERM.
 */
napi_value allow_only_networking(napi_env env, napi_callback_info info);

/*
 * replaceProcess(path, arguments, descriptors): this process goes on as another program (execve(2)), which keeps the descriptors. Returns
 * only by throwing.
 */
napi_value replace_process(napi_env env, napi_callback_info info);

#endif
