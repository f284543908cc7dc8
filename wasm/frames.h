/* Frames in and out through areas of linear memory: see frames.c. */
#ifndef SLIRP_WASM_FRAMES_H
#define SLIRP_WASM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Lays out the areas. Called before anything else. */
void frames_init(void);
/* Sets the length of the virtio-net header before each frame: 0, 10 or 12. */
void frames_set_header_length(unsigned length);
/* Gives the guest's frames to the stack. */
void frames_input(void);
/* libslirp's send_packet callback. */
ssize_t frames_send_packet(const void *frame, size_t length, void *opaque);
/* Frames that send_packet was given, ever; wraps around. */
uint32_t frames_sent(void);
/* Room for a burst of frames: as long as there is none, nothing more is read from the host. */
bool frames_have_output_room(void);

#endif
