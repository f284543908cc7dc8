/* TCP data towards the guest, many segments at once: see segments.c. */
#ifndef SLIRP_WASM_SEGMENTS_H
#define SLIRP_WASM_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbuf;
struct sbuf;
struct socket;
struct tcpcb;

/* Bytes in one or two pieces. */
struct payload {
    const char *first;
    uint32_t first_length;
    const char *second;
};

/* Runs tcp_output so that one segment of its is as many of the guest's as there is data and window for. */
int segments_output(struct tcpcb *tp);
/* Takes the guest's largest segment from the option in its SYN. */
void segments_learn(struct tcpcb *tp, const uint8_t *options, size_t length);
/* sbcopy: true where the bytes stay in the ring until the frame is written. */
bool segments_defer(const struct sbuf *ring, uint32_t offset, uint32_t length);
/* Whether an mbuf's payload is not in it. */
bool segments_holds(const struct mbuf *m);
/*
 * For the edge: where the payload of an mbuf lies that is to be cut, behind headers of so many bytes, and the guest's segment size. False
 * for any other mbuf. What lies in the ring is no longer held from then on.
 */
bool segments_take(const struct mbuf *m, uint32_t headers_length, struct payload *payload, uint32_t *size);
/* ip_output and ip6_output of a socket. */
int segments_ip_output(struct socket *so, struct mbuf *m);
int segments_ip6_output(struct socket *so, struct mbuf *m, int fast);

#endif
