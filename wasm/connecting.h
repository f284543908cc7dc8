/* The end of a non-blocking connect: see connecting.c. */
#ifndef SLIRP_WASM_CONNECTING_H
#define SLIRP_WASM_CONNECTING_H

struct socket;

/* Answers the guest's SYN as the host network has answered the connect. The socket may be gone afterwards. */
void connecting_finish(int fd, struct socket *so);

#endif
