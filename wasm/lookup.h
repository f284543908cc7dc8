/* Finding the socket that a guest's packet belongs to: see lookup.c. */
#ifndef SLIRP_WASM_LOOKUP_H
#define SLIRP_WASM_LOOKUP_H

#include <stdint.h>

/* Takes in the sockets that libslirp made without socreate being seen: those of a loaded state. */
struct Slirp;
void lookup_rebuild(struct Slirp *slirp);
/* How many sockets the guest has. */
uint32_t lookup_count(void);

#endif
