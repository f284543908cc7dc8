/* Frames in and out through areas of linear memory: see frames.c. */
#ifndef SLIRP_WASM_FRAMES_H
#define SLIRP_WASM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Lays out the areas. Called before anything else. */
void frames_init(void);
/* Sets the length of the virtio-net header before each frame, 0, 10 or 12, and what may be said in it (offload.h). */
void frames_set_header(unsigned length, unsigned offloads);
/* Gives the guest's frames to the stack. */
void frames_input(void);
/* libslirp's send_packet callback. */
ssize_t frames_send_packet(const void *frame, size_t length, void *opaque);
/* Where the next frame towards the guest is to be written, behind a header that says nothing; NULL where there is no room: it is dropped. */
uint8_t *frames_begin(size_t length);
/* It is written; length may not have grown. */
void frames_end(const uint8_t *frame, size_t length);
/* Frames that send_packet was given, ever; wraps around. */
uint32_t frames_sent(void);
/* Room for a burst of frames: as long as there is none, nothing more is read from the host. */
bool frames_have_output_room(void);

#endif
