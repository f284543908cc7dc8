/*
 * Addresses and error numbers as they cross between C and JavaScript.
 *
 * An address is ADDRESS_BYTES bytes of a Uint8Array: family (4, 6; 0 where there is none), a zero, the port (big-endian), the scope of
 * an IPv6 address (little-endian), and the address, 4 or 16 bytes. No object is made for one.
 */
#ifndef SLIRP_WASM_SOCKET_ADDRESS_H
#define SLIRP_WASM_SOCKET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_BYTES 24

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

/* False where the family is neither. */
bool decode_address(const uint8_t *bytes, union socket_address *address);

/* Family 0 for what is no IP address. */
void encode_address(const union socket_address *address, uint8_t *bytes);

socklen_t address_length(const union socket_address *address);

/* A system's error as the negative number that JavaScript is answered: WASI's numbering (`Errno` in src/host-network.ts). */
int32_t answer_of(int error);

#endif
