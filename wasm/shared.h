/*
 * The block of linear memory that JavaScript reads and writes between calls: src/slirp/module-instance.ts has the same fields,
 * and a test compares both. Everything is 32 bits wide, so that one Int32Array view serves.
 */
#ifndef SLIRP_WASM_SHARED_H
#define SLIRP_WASM_SHARED_H

#include <stdint.h>

struct shared_block {
    /* Readiness: who sets bits in ready[fd] and finds READY_QUEUED unset there, sets it and appends fd to the queue. */
    uint32_t ready; /* address of uint8_t[DESCRIPTOR_LIMIT] */
    uint32_t ready_queue; /* address of uint32_t[DESCRIPTOR_LIMIT] */
    uint32_t ready_count; /* entries in the queue */

    /* Frames from the guest: JavaScript fills, a turn empties. Two areas, so that it can fill one during a turn. */
    uint32_t input; /* address of the area to fill */
    uint32_t input_bytes; /* its size */
    uint32_t input_used; /* bytes filled: {uint32_t length, frame, padding to 4}… */

    /* Frames towards the guest: the module fills, JavaScript empties. Oldest is output_first. */
    uint32_t output; /* address of the area; frames lie at output + output_offsets[i] */
    uint32_t output_offsets; /* address of uint32_t[], from the start of linear memory */
    uint32_t output_lengths; /* address of uint32_t[] */
    uint32_t output_first; /* index of the first frame that was not taken yet */
    uint32_t output_count; /* index behind the last frame */
    uint32_t output_dropped; /* frames dropped for want of room, ever */

    /* Counters, ever. */
    uint32_t input_dropped; /* frames from the guest that were no Ethernet frames */
    uint32_t header_length; /* virtio-net header before each frame: 0, 10 or 12 */
    uint32_t offloads; /* what the header may say: OFFLOAD_… of offload.h */
    uint32_t receive_enabled; /* frames are pushed: the module may ask for delivery when the area is full */
};

extern struct shared_block shared;

#endif
