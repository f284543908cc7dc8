/* Finding the socket that a guest's packet belongs to: see lookup.c. */
#ifndef SLIRP_WASM_LOOKUP_H
#define SLIRP_WASM_LOOKUP_H

/* Takes in the sockets that libslirp made without socreate being seen: those of a loaded state. */
struct Slirp;
void lookup_rebuild(struct Slirp *slirp);

#endif
