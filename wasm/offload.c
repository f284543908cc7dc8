/*
 * What the virtio-net header before a frame says (virtio 1.2, 5.1.6; src/virtio-net.ts), for the stack.
 *
 * From the guest: libslirp takes IP packets of any length, so a TCP segment that was to be cut (TSO), or a datagram that was to be
 * fragmented (UFO), goes in whole. A checksum that is still to be done would be computed only to be verified: instead it is
 * believed. Only a run of datagrams (USO) is taken apart. What does not fit the header is done by the letter or refused.
 */
#include "slirp.h"

#include "checksum.h"
#include "offload.h"
#include "shared.h"
#include "stack.h"

enum {
    NEEDS_CHECKSUM = 1,
    GSO_NONE = 0,
    GSO_TCP4 = 1,
    GSO_UDP_FRAGMENTS = 3,
    GSO_TCP6 = 4,
    GSO_UDP_DATAGRAMS = 5,
    GSO_ECN = 0x80,
    TCP_CHECKSUM_OFFSET = 16,
    UDP_CHECKSUM_OFFSET = 6,
    IP6_FRAGMENT = 44, /* RFC 8200 4.5; behind other extension headers libslirp takes nothing anyway */
    MAX_UDP_HEADERS = ETH_HLEN + 60 + 8,
};

/* linux/virtio_net.h; little-endian, as this machine is. */
struct virtio_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t headers_length;
    uint16_t gso_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
};

/* The frame at hand: its IP version (0: something that libslirp takes no transport from), protocol and transport header. */
struct place {
    int version;
    bool is_fragment;
    uint8_t protocol;
    uint32_t transport;
};

static bool trusted;

bool offload_is_trusted(void)
{
    return trusted;
}

/* A whole packet without IPv6 extension headers, whose headers lie in the frame. Not inlined: that would be three copies. */
static __attribute__((noinline)) struct place find_transport(const uint8_t *frame, uint32_t length)
{
    const struct ip *ip = (const struct ip *)(frame + ETH_HLEN);
    const struct ip6 *ip6 = (const struct ip6 *)ip;
    uint16_t type = frame[12] << 8 | frame[13];
    struct place place = { 0 };

    if (type == ETH_P_IP && length >= ETH_HLEN + sizeof(*ip) && ip->ip_v == IPVERSION) {
        place.transport = ETH_HLEN + (ip->ip_hl << 2);
        place.protocol = ip->ip_p;
        place.is_fragment = ip->ip_off & htons(IP_MF | IP_OFFMASK);
        place.version = ip->ip_hl >= 5 && !place.is_fragment ? 4 : 0;
    } else if (type == ETH_P_IPV6 && length >= ETH_HLEN + sizeof(*ip6) && ip6->ip_v == IP6VERSION) {
        place.transport = ETH_HLEN + sizeof(*ip6);
        place.protocol = ip6->ip_nh;
        place.is_fragment = ip6->ip_nh == IP6_FRAGMENT;
        place.version = 6;
    }
    uint32_t least = place.protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
    if (place.transport + least > length) {
        place.version = 0;
    }
    return place;
}

static bool input_trusted(const uint8_t *frame, uint32_t length)
{
    trusted = true;
    slirp_input(the_slirp, frame, length);
    trusted = false;
    return true;
}

static bool input_checked(const uint8_t *frame, uint32_t length)
{
    slirp_input(the_slirp, frame, length);
    return true;
}

static bool input_unfinished(const struct virtio_header *header, uint8_t *frame, uint32_t length)
{
    struct place place = find_transport(frame, length);
    uint32_t at = header->checksum_start + header->checksum_offset;
    uint16_t sum;

    if (place.version && place.transport == header->checksum_start &&
        ((place.protocol == IPPROTO_TCP && header->checksum_offset == TCP_CHECKSUM_OFFSET) ||
         (place.protocol == IPPROTO_UDP && header->checksum_offset == UDP_CHECKSUM_OFFSET))) {
        return input_trusted(frame, length);
    }
    if (header->checksum_start < ETH_HLEN || at + sizeof(sum) > length) {
        return false;
    }
    if (!place.is_fragment) { /* a fragment's checksum is that of a packet which is not here */
        sum = ~checksum_fold(checksum_add(0, frame + header->checksum_start, length - header->checksum_start));
        memcpy(frame + at, &sum, sizeof(sum));
    }
    return input_checked(frame, length);
}

/* Each datagram's headers are written before its payload, over what has gone before. */
static bool input_datagrams(const struct virtio_header *header, uint8_t *frame, uint32_t length)
{
    struct place place = find_transport(frame, length);
    uint8_t headers[MAX_UDP_HEADERS];

    if (!place.version || place.protocol != IPPROTO_UDP || !header->gso_size) {
        return false;
    }
    uint32_t headers_length = place.transport + sizeof(struct udphdr);
    memcpy(headers, frame, headers_length);
    for (uint32_t at = headers_length; at < length; at += header->gso_size) {
        uint16_t payload = MIN(header->gso_size, length - at);
        uint8_t *datagram = frame + at - headers_length;
        struct ip *ip = (struct ip *)(datagram + ETH_HLEN);
        uint16_t udp_length = sizeof(struct udphdr) + payload;
        memcpy(datagram, headers, headers_length);
        ((struct udphdr *)(datagram + place.transport))->uh_ulen = htons(udp_length);
        if (place.version == 4) {
            ip->ip_len = htons((uint16_t)(place.transport - ETH_HLEN + udp_length));
            ip->ip_sum = 0;
            ip->ip_sum = ~checksum_fold(checksum_add(0, ip, ip->ip_hl << 2));
        } else {
            ((struct ip6 *)ip)->ip_pl = htons(udp_length);
        }
        input_trusted(datagram, headers_length + payload);
    }
    return true;
}

static bool input_long(uint8_t *frame, uint32_t length, int version, uint8_t protocol)
{
    struct place place = find_transport(frame, length);

    if (!place.version || (version && place.version != version) || place.protocol != protocol) {
        return false;
    }
    return input_trusted(frame, length);
}

bool offload_input(uint8_t *frame, uint32_t length)
{
    struct virtio_header header;

    if (!(shared.offloads & OFFLOAD_FROM_GUEST)) {
        return input_checked(frame, length);
    }
    memcpy(&header, frame - shared.header_length, sizeof(header));
    switch (header.gso_type & ~GSO_ECN) {
    case GSO_NONE:
        return header.flags & NEEDS_CHECKSUM ? input_unfinished(&header, frame, length) : input_checked(frame, length);
    case GSO_TCP4:
        return input_long(frame, length, 4, IPPROTO_TCP);
    case GSO_TCP6:
        return input_long(frame, length, 6, IPPROTO_TCP);
    case GSO_UDP_FRAGMENTS:
        return input_long(frame, length, 0, IPPROTO_UDP);
    case GSO_UDP_DATAGRAMS:
        return input_datagrams(&header, frame, length);
    default:
        return false;
    }
}

void offload_describe(uint8_t *frame, uint32_t tcp_offset, uint32_t size)
{
    bool is_ip4 = (frame[ETH_HLEN] >> 4) == IPVERSION;
    struct virtio_header header = {
        .flags = NEEDS_CHECKSUM,
        .gso_type = size == 0 ? GSO_NONE : is_ip4 ? GSO_TCP4 : GSO_TCP6,
        .headers_length = tcp_offset + (((const struct tcphdr *)(frame + tcp_offset))->th_off << 2),
        .gso_size = size,
        .checksum_start = tcp_offset,
        .checksum_offset = TCP_CHECKSUM_OFFSET,
    };

    memcpy(frame - shared.header_length, &header, sizeof(header));
}

/*
 * Where libslirp would verify: the next sum it takes is that one.
 */
void __real_udp_input(struct mbuf *m, int iphlen);
void __real_udp6_input(struct mbuf *m);
void __real_ip6_input(struct mbuf *m);

void __wrap_udp_input(struct mbuf *m, int iphlen)
{
    if (trusted) {
        checksum_trust_next();
    }
    __real_udp_input(m, iphlen);
    checksum_trust_end();
}

void __wrap_udp6_input(struct mbuf *m)
{
    if (trusted) {
        checksum_trust_next();
    }
    __real_udp6_input(m);
    checksum_trust_end();
}

/* ip6_input answers "packet too big" to whatever is longer than the MTU. A long frame is not one packet, but what many will be. */
void __wrap_ip6_input(struct mbuf *m)
{
    struct ip6 *ip6 = mtod(m, struct ip6 *);
    Slirp *slirp = m->slirp;

    if (!trusted || ntohs(ip6->ip_pl) + (int)sizeof(*ip6) <= slirp->if_mtu) {
        __real_ip6_input(m);
        return;
    }
    if (!slirp->in6_enabled || m->m_len < ntohs(ip6->ip_pl) + (int)sizeof(*ip6)) {
        m_free(m);
    } else if (ip6->ip_hl == 0) {
        icmp6_send_error(m, ICMP6_TIMXCEED, ICMP6_TIMXCEED_INTRANS);
        m_free(m);
    } else if (ip6->ip_nh == IPPROTO_TCP) {
        NTOHS(ip6->ip_pl);
        tcp_input(m, sizeof(*ip6), NULL, AF_INET6);
    } else {
        udp6_input(m);
    }
}
