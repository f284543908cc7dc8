/*
 * Work in another network namespace, on a thread made for it.
 *
 * A socket, and a descriptor of /dev/net/tun, belong for good to the namespace of the thread that opened them. So nobody has to stay in a
 * namespace: a thread enters it, opens, and ends. The caller's own thread never leaves its namespace, which means that no error on
 * the way can leave it in the wrong one.
 */
#ifndef SLIRP_WASM_IN_NAMESPACE_H
#define SLIRP_WASM_IN_NAMESPACE_H

/* Does something that yields a descriptor; answers it, or the system's error negated. */
typedef int (*namespace_work)(void *data);

/*
 * Runs the work in the namespace that `namespace_fd` (an open /proc/PID/ns/net or /run/netns/NAME) stands for, or right here where that is
 * negative. Answers what the work answers, or the error that kept it from the namespace, negated; `*failed_call` then names the call.
 */
int run_in_namespace(int namespace_fd, namespace_work work, void *data, const char **failed_call);

#endif
