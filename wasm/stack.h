/* The one stack that an instance of the module has, for the files of this folder. */
#ifndef SLIRP_WASM_STACK_H
#define SLIRP_WASM_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "libslirp.h"

/* NULL before stack_create and after stack_destroy. */
extern Slirp *the_slirp;

/* Time of the turn that runs, as JavaScript gave it: the clock does not move within a turn. */
extern double now_ms;

/* A saved state was loaded: its connections have timers that run. */
void stack_loaded(void);

/* What the stack is made of (configure.c). */
const SlirpConfig *stack_configuration(void);

/* libslirp's own millisecond clock (slirp.c). */
extern unsigned curtime;

/*
 * What JavaScript's name server address stands for: get_dns_addr answers it, and src/slirp/name-server.ts turns it into the
 * resolver that the host network names at that moment, whatever its IP version and port. It can be no destination: RFC 1122
 * 3.2.1.3 reserves 0.0.0.0/8, RFC 6666 discards 100::/64.
 */
#define NAME_SERVER_ADDRESS 0x00000035u /* 0.0.0.53 */
#define NAME_SERVER_ADDRESS6 "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x53" /* 100::53 */

#endif
