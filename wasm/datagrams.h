/* UDP and ICMP echo between the guest and the host network: see datagrams.c. */
#ifndef SLIRP_WASM_DATAGRAMS_H
#define SLIRP_WASM_DATAGRAMS_H

#include <stdint.h>

struct socket;

/* Takes what the host network has for a UDP or echo socket. */
void datagram_drive(int fd, struct socket *so);
/* Ends what has expired; milliseconds until the next one does, or UINT32_MAX. */
uint32_t datagrams_expire(void);

#endif
