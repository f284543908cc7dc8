/* Window scaling: see window-scale.c. */
#ifndef SLIRP_WASM_WINDOW_SCALE_H
#define SLIRP_WASM_WINDOW_SCALE_H

#include <stddef.h>
#include <stdint.h>

struct tcpcb;

/* The option of this kind and length among a TCP header's options, or NULL. */
const uint8_t *tcp_find_option(const uint8_t *options, size_t length, uint8_t kind, uint8_t wanted_length);
/* Takes over what the guest's SYN or SYN-ACK says. */
void window_scale_learn(struct tcpcb *tp, const uint8_t *options, size_t length);
/* The same by the segment that is being received, where that is one. */
void window_scale_learn_current(struct tcpcb *tp);
/* The guest has acknowledged so many bytes. */
void window_scale_acknowledged(struct tcpcb *tp, uint32_t length);
/* Runs tcp_output with the guest's window as it is meant. */
int window_scale_output(struct tcpcb *tp, int (*output)(struct tcpcb *tp));

#endif
