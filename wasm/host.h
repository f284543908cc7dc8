/*
 * What JavaScript does for the module: one declaration a function, implemented in src/slirp/host-calls.ts. Every function answers 0 or a count, or an errno made negative; none blocks, and none may call into the
 * module again.
 *
 * `fd` is a descriptor of descriptors.c. Addresses are struct sockaddr_in, sockaddr_in6 or sockaddr_un as this C library
 * lays them out.
 */
#ifndef SLIRP_WASM_HOST_H
#define SLIRP_WASM_HOST_H

#include <stddef.h>
#include <stdint.h>

struct sockaddr;

/* A function that the module imports under its own name. */
#define IMPORTED(name) __attribute__((import_module("host"), import_name(#name))) name

/* Opens a datagram socket: kind is one of enum descriptor_kind, family AF_INET or AF_INET6. */
int IMPORTED(host_open_datagram)(int fd, int kind, int family, const struct sockaddr *local);
/* Takes over the socket that JavaScript has bound beforehand for the forward being added; -EADDRNOTAVAIL if there is none. */
int IMPORTED(host_adopt_bound)(int fd);
/* Starts to connect; local is NULL or the address to leave from. -EINPROGRESS, or what went wrong. */
int IMPORTED(host_connect)(int fd, const struct sockaddr *remote, const struct sockaddr *local);
/* Runs a command line with the stream as its standard input and output. */
int IMPORTED(host_spawn)(int fd, const char *command_line, size_t length);
/* Accepts a connection of listener fd as accepted_fd and tells who it is from. */
int IMPORTED(host_accept)(int fd, int accepted_fd, struct sockaddr *peer);
/* Sends two pieces, the second of which may be empty, in order and as one write. */
int IMPORTED(host_send)(int fd, const void *first, size_t first_length, const void *second, size_t second_length);
int IMPORTED(host_receive)(int fd, void *target, size_t length);
int IMPORTED(host_send_to)(int fd, const void *bytes, size_t length, const struct sockaddr *remote);
int IMPORTED(host_receive_from)(int fd, void *target, size_t length, struct sockaddr *source);
/* Length of the next datagram. */
int IMPORTED(host_next_length)(int fd);
int IMPORTED(host_shutdown_write)(int fd);
/* abort: the other side is to see RST. */
void IMPORTED(host_close)(int fd, int abort);
/* The pending error, positive, and clears it. */
int IMPORTED(host_take_error)(int fd);
int IMPORTED(host_local_address)(int fd, struct sockaddr *local);
/* Opens a file for reading; answers its size, at most INT32_MAX. */
int IMPORTED(host_open_file)(int fd, const char *path, size_t length);
int IMPORTED(host_read_file)(int fd, void *target, size_t length, double position);
/* The queue of frames towards the guest is full: deliver it now. Whatever the NIC answers is queued, not run. */
void IMPORTED(host_deliver)(void);
/* level is one of glib/glib.h's. */
void IMPORTED(host_log)(int level, const char *text, size_t length);
/* A guestfwd without a socket (slirp_add_guestfwd): bytes from the guest for channel id. */
void IMPORTED(host_guestfwd_data)(int id, const void *bytes, size_t length);

#endif
