/*
 * Datagrams: UDP and ICMP echo.
 *
 * The kernel's queue of errors (IP_RECVERR, ip(7)) tells what routers and hosts answered to datagrams of a socket that is not connected.
 * What is told on is only that a destination cannot be reached, and only of the last one: whoever asks takes it for that.
 */
#ifndef SLIRP_WASM_SOCKET_DATAGRAMS_H
#define SLIRP_WASM_SOCKET_DATAGRAMS_H

#include <node_api.h>

#include "socket-poller.h"

/* openDatagram(local, ipv6Only): a UDP socket, bound. */
napi_value open_datagram(napi_env env, napi_callback_info info);

/* openEcho(family): ICMP echo, where the system lets us (ping_group_range, icmp(7)). */
napi_value open_echo(napi_env env, napi_callback_info info);

/* sendTo(id, bytes, remote). */
napi_value send_to(napi_env env, napi_callback_info info);

/* nextLength(id): of the next datagram, which may be 0. */
napi_value next_length(napi_env env, napi_callback_info info);

/* receiveFrom(id, target, source): the next datagram, cut off where it does not fit. */
napi_value receive_from(napi_env env, napi_callback_info info);

/* dropped(id): datagrams that found no room, since the socket was opened. */
napi_value count_dropped(napi_env env, napi_callback_info info);

/* Whether a socket has an error to be told of; `may_have_more`: an event says so. */
bool keeps_error(struct socket_slot *slot, bool may_have_more);

/* The error that is kept, or 0; it is kept no longer. */
int take_kept_error(struct socket_slot *slot);

#endif
