/* What the virtio-net header before a frame says: see offload.c. */
#ifndef SLIRP_WASM_OFFLOAD_H
#define SLIRP_WASM_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Bits of shared.offloads: what NIC and stack have agreed on; src/slirp/offloads.ts has the same. */
enum {
    OFFLOAD_FROM_GUEST = 1, /* the header of the guest's frames counts */
    OFFLOAD_GUEST_CHECKSUM = 2, /* the NIC finishes checksums */
    OFFLOAD_GUEST_TSO4 = 4, /* the NIC takes long frames */
    OFFLOAD_GUEST_TSO6 = 8,
};

/* Gives the stack a frame that lies behind its header. May write to it. False where the header cannot be true. */
bool offload_input(uint8_t *frame, uint32_t length);
/* Writes the header of a TCP frame whose checksum is unfinished; size: of a segment, 0 where the frame is one. */
void offload_describe(uint8_t *frame, uint32_t tcp_offset, uint32_t size);
/* Whether the frame at hand is one whose checksum is taken for right. */
bool offload_is_trusted(void);

#endif
