/*
 * The edge towards the guest: an IP packet of libslirp's gets its Ethernet header and goes into the area of frames.
 *
 * What tcp_output made of many segments at once (segments.c) is copied there from the ring, the checksum taken on the way. A NIC that takes
 * long frames (TSO) gets one, marked with the guest's true segment size and its checksum left to do; for any other NIC the frame is cut
 * here. Every other packet is copied as it is.
 */
#include "slirp.h"

#include "checksum.h"
#include "frames.h"
#include "offload.h"
#include "segments.h"
#include "shared.h"

int __real_if_encap(Slirp *slirp, struct mbuf *ifm);

static bool fill_ethernet_header(Slirp *slirp, const struct mbuf *m, struct ethhdr *header)
{
    const struct ip *ip = mtod(m, const struct ip *);

    if (ip->ip_v == IPVERSION) {
        header->h_proto = htons(ETH_P_IP);
        memcpy(header->h_source, "\x52\x55", 2);
        memcpy(header->h_source + 2, &slirp->vhost_addr, sizeof(slirp->vhost_addr));
        return arp_table_search(slirp, ip->ip_dst.s_addr, header->h_dest);
    }
    const struct ip6 *ip6 = mtod(m, const struct ip6 *);
    header->h_proto = htons(ETH_P_IPV6);
    in6_compute_ethaddr(ip6->ip_src, header->h_source);
    return ndp_table_search(slirp, ip6->ip_dst, header->h_dest);
}

/* Copies bytes; with their sum where that is wanted. */
static uint32_t copy_bytes(uint8_t *target, const char *bytes, uint32_t length, bool wants_sum)
{
    if (wants_sum) {
        return checksum_add_copy(0, target, bytes, length);
    }
    memcpy(target, bytes, length);
    return 0;
}

/*
 * Copies a part of the payload, from the one piece or both. An address behind a piece must not even go along with a length of 0: a ring
 * may lie at the end of linear memory, and memory.copy traps on an address behind that.
 */
static uint32_t copy_part(uint8_t *target, const struct payload *payload, uint32_t offset, uint32_t length, bool wants_sum)
{
    if (offset >= payload->first_length) {
        return copy_bytes(target, payload->second + (offset - payload->first_length), length, wants_sum);
    }
    uint32_t of_first = MIN(length, payload->first_length - offset);
    uint32_t sum = copy_bytes(target, payload->first + offset, of_first, wants_sum);
    if (length > of_first) {
        sum = checksum_join(sum, copy_bytes(target + of_first, payload->second, length - of_first, wants_sum), of_first);
    }
    return sum;
}

/* What all frames of one segment of tcp_output's have in common. */
struct segments {
    const struct ethhdr *ethernet;
    const uint8_t *headers; /* IP and TCP */
    uint32_t headers_length;
    uint32_t ip_length; /* of the IP header alone */
    struct payload payload;
    uint32_t length; /* of the payload */
    uint32_t size; /* of a segment */
};

/* The sum of the pseudo header. */
static uint32_t pseudo_sum(const struct segments *all, uint32_t tcp_length)
{
    uint32_t addresses = all->ip_length == sizeof(struct ip) ? 2 * sizeof(struct in_addr) : 2 * sizeof(struct in6_addr);

    /* Both versions have the addresses at the end of the header. */
    return checksum_add(htons(IPPROTO_TCP) + htons((uint16_t)tcp_length), all->headers + all->ip_length - addresses,
                        addresses);
}

static void adapt_ip_header(uint8_t *header, const struct segments *all, uint32_t length, uint32_t index)
{
    if (all->ip_length == sizeof(struct ip)) {
        struct ip *ip = (struct ip *)header;
        ip->ip_len = htons((uint16_t)length);
        ip->ip_id = htons((uint16_t)(ntohs(ip->ip_id) + index));
        ip->ip_sum = 0;
        ip->ip_sum = ~checksum_fold(checksum_add(0, ip, sizeof(*ip)));
    } else {
        ((struct ip6 *)header)->ip_pl = htons((uint16_t)(length - sizeof(struct ip6)));
    }
}

static void send_part(const struct segments *all, uint32_t offset, uint32_t length)
{
    uint32_t frame_length = ETH_HLEN + all->headers_length + length;
    uint8_t *frame = frames_begin(MAX(frame_length, ETH_MINLEN));
    if (!frame) {
        return;
    }
    uint8_t *ip = frame + ETH_HLEN;
    struct tcphdr *tcp = (struct tcphdr *)(ip + all->ip_length);
    uint32_t tcp_length = frame_length - ETH_HLEN - all->ip_length;
    bool leaves_sum = shared.offloads & OFFLOAD_GUEST_CHECKSUM;

    memcpy(frame, all->ethernet, ETH_HLEN);
    memcpy(ip, all->headers, all->headers_length);
    adapt_ip_header(ip, all, frame_length - ETH_HLEN, offset / all->size);
    tcp->th_seq = htonl(ntohl(tcp->th_seq) + offset);
    if (offset + length < all->length) {
        tcp->th_flags &= ~(TH_FIN | TH_PUSH);
    }
    uint32_t sum = pseudo_sum(all, tcp_length);
    uint32_t payload_sum = copy_part(frame + frame_length - length, &all->payload, offset, length, !leaves_sum);
    tcp->th_sum = 0;
    if (leaves_sum) {
        tcp->th_sum = checksum_fold(sum);
        offload_describe(frame, (uint8_t *)tcp - frame, length > all->size ? all->size : 0);
    } else {
        tcp->th_sum = ~checksum_fold(checksum_add(sum + payload_sum, tcp, tcp_length - length));
    }
    if (frame_length < ETH_MINLEN) {
        memset(frame + frame_length, 0, ETH_MINLEN - frame_length);
    }
    frames_end(frame, MAX(frame_length, ETH_MINLEN));
}

/* Answers whether it was a long frame. */
static bool send_segments(const struct ethhdr *ethernet, const struct mbuf *m)
{
    bool is_ip4 = mtod(m, const struct ip *)->ip_v == IPVERSION;
    struct segments all = {
        .ethernet = ethernet,
        .headers = mtod(m, const uint8_t *),
        .ip_length = is_ip4 ? sizeof(struct ip) : sizeof(struct ip6),
    };

    all.headers_length = all.ip_length + (((const struct tcphdr *)(all.headers + all.ip_length))->th_off << 2);
    all.length = m->m_len - all.headers_length;
    if (!segments_take(m, all.headers_length, &all.payload, &all.size)) {
        return false;
    }
    uint32_t wanted = is_ip4 ? OFFLOAD_GUEST_TSO4 : OFFLOAD_GUEST_TSO6;
    uint32_t step = shared.offloads & wanted ? all.length : all.size;
    for (uint32_t offset = 0; offset < all.length; offset += step) {
        send_part(&all, offset, MIN(step, all.length - offset));
    }
    return true;
}

/* if_encap without a copy of its own. Answers false where the frame has to wait, as it does. */
int __wrap_if_encap(Slirp *slirp, struct mbuf *m)
{
    struct ethhdr ethernet;

    if (!fill_ethernet_header(slirp, m, &ethernet)) {
        return __real_if_encap(slirp, m);
    }
    if (!send_segments(&ethernet, m)) {
        uint32_t length = ETH_HLEN + m->m_len;
        uint8_t *frame = frames_begin(MAX(length, ETH_MINLEN));
        if (frame) {
            memcpy(frame, &ethernet, ETH_HLEN);
            memcpy(frame + ETH_HLEN, m->m_data, m->m_len);
            memset(frame + length, 0, length < ETH_MINLEN ? ETH_MINLEN - length : 0);
            frames_end(frame, MAX(length, ETH_MINLEN));
        }
    }
    return 1;
}
