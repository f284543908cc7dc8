/*
 * Addresses and routes go through netlink (rtnetlink(7)), which has one form for both IP versions; what an interface itself has (MAC,
 * MTU, up) through ioctls (netdevice(7)).
 *
 * The IPv6 address is set without duplicate address detection: on this link are only this host and the stack, and nobody waits a second.
 */
#include "netns-configure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEXTETS 6

static int complain(const char *what)
{
    fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
    return -1;
}

struct message {
    struct nlmsghdr head;
    union {
        struct ifaddrmsg address;
        struct rtmsg route;
    };
    char attributes[128];
};

static void add_attribute(struct message *message, unsigned short type, const void *value, unsigned short length)
{
    struct rtattr *attribute = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->head.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(length);
    memcpy(RTA_DATA(attribute), value, length);
    message->head.nlmsg_len = NLMSG_ALIGN(message->head.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

/* Sends a message and waits for what the kernel says to it. */
static int ask_kernel(struct message *message)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    message->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    ssize_t length = send(fd, message, message->head.nlmsg_len, 0);
    if (length >= 0)
        length = recv(fd, &answer, sizeof answer, 0);
    int error = length < 0 ? errno : EPROTO;
    if (length >= (ssize_t)NLMSG_LENGTH(sizeof answer.error) && answer.head.nlmsg_type == NLMSG_ERROR)
        error = -answer.error.error;
    close(fd);
    errno = error;
    return error == 0 ? 0 : -1;
}

/* Bytes of an address; 0 where the text is none. */
static unsigned short read_address(int family, const char *text, unsigned char *bytes)
{
    return inet_pton(family, text, bytes) == 1 ? (family == AF_INET ? 4 : 16) : 0;
}

static int add_address(unsigned index, int family, const char *text_with_prefix)
{
    char text[64];
    unsigned char bytes[16];
    const char *slash = strchr(text_with_prefix, '/');
    if (slash == NULL || (size_t)(slash - text_with_prefix) >= sizeof text) {
        errno = EINVAL;
        return -1;
    }
    memcpy(text, text_with_prefix, slash - text_with_prefix);
    text[slash - text_with_prefix] = 0;
    unsigned short length = read_address(family, text, bytes);
    int prefix = atoi(slash + 1);
    if (length == 0 || prefix < 1 || prefix > 8 * length) {
        errno = EINVAL;
        return -1;
    }
    struct message message = {
        .head = {.nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
        .address = {.ifa_family = family, .ifa_prefixlen = prefix, .ifa_index = index},
    };
    message.head.nlmsg_len = NLMSG_LENGTH(sizeof message.address);
    if (family == AF_INET6)
        message.address.ifa_flags = IFA_F_NODAD;
    add_attribute(&message, IFA_LOCAL, bytes, length);
    add_attribute(&message, IFA_ADDRESS, bytes, length);
    if (family == AF_INET && prefix < 31) {
        for (int bit = prefix; bit < 32; bit++)
            bytes[bit / 8] |= 0x80 >> bit % 8;
        add_attribute(&message, IFA_BROADCAST, bytes, length);
    }
    return ask_kernel(&message);
}

static int add_default_route(unsigned index, int family, const char *gateway)
{
    unsigned char bytes[16];
    unsigned short length = read_address(family, gateway, bytes);
    if (length == 0) {
        errno = EINVAL;
        return -1;
    }
    struct message message = {
        .head = {.nlmsg_type = RTM_NEWROUTE, .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
        .route = {
            .rtm_family = family,
            .rtm_table = RT_TABLE_MAIN,
            .rtm_protocol = RTPROT_BOOT,
            .rtm_scope = RT_SCOPE_UNIVERSE,
            .rtm_type = RTN_UNICAST,
        },
    };
    message.head.nlmsg_len = NLMSG_LENGTH(sizeof message.route);
    add_attribute(&message, RTA_GATEWAY, bytes, length);
    add_attribute(&message, RTA_OIF, &index, sizeof index);
    return ask_kernel(&message);
}

static struct ifreq request_for(const char *name)
{
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    return request;
}

static int bring_up(int fd, const char *name)
{
    struct ifreq request = request_for(name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -1;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int set_mac(int fd, const char *name, const char *mac)
{
    struct ifreq request = request_for(name);
    unsigned parts[HEXTETS];
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    if (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x", &parts[0], &parts[1], &parts[2], &parts[3], &parts[4], &parts[5]) != HEXTETS) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < HEXTETS; i++)
        request.ifr_hwaddr.sa_data[i] = (char)parts[i];
    return ioctl(fd, SIOCSIFHWADDR, &request);
}

static int set_mtu(int fd, const char *name, int mtu)
{
    struct ifreq request = request_for(name);
    request.ifr_mtu = mtu;
    return ioctl(fd, SIOCSIFMTU, &request);
}

static int configure_interface(int fd, const char *name, const struct link_settings *settings)
{
    if (bring_up(fd, "lo") < 0)
        return complain("bring the loopback interface up");
    if (settings->mac != NULL && set_mac(fd, name, settings->mac) < 0)
        return complain("set MAC address");
    if (settings->mtu != 0 && set_mtu(fd, name, settings->mtu) < 0)
        return complain("set MTU");
    return bring_up(fd, name) < 0 ? complain("bring the interface up") : 0;
}

int configure_link(const char *name, const struct link_settings *settings)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain("make a socket");
    int status = configure_interface(fd, name, settings);
    close(fd);
    if (status < 0)
        return status;
    unsigned index = if_nametoindex(name);
    if (settings->address != NULL && add_address(index, AF_INET, settings->address) < 0)
        return complain("set the IPv4 address");
    if (settings->gateway != NULL && add_default_route(index, AF_INET, settings->gateway) < 0)
        return complain("set the IPv4 route");
    if (settings->address6 != NULL && add_address(index, AF_INET6, settings->address6) < 0)
        return complain("set the IPv6 address");
    if (settings->gateway6 != NULL && add_default_route(index, AF_INET6, settings->gateway6) < 0)
        return complain("set the IPv6 route");
    return 0;
}
