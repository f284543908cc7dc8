/*
 * The configuration of the stack, as JavaScript puts it together before stack_create (src/slirp/configure.ts): every field of
 * SlirpConfig, version 5.
 */
#include "slirp.h"

#include "stack.h"

static SlirpConfig config;
static struct sockaddr_in outbound;
static struct sockaddr_in6 outbound6;

const SlirpConfig *stack_configuration(void)
{
    return &config;
}

/* A configuration with every field zero, for JavaScript to fill in by the setters below before stack_create. */
void stack_configure(int restricted, int disable_host_loopback, int disable_dns, int disable_dhcp, int enable_emu,
                     unsigned mtu, unsigned mru, unsigned manufacturer_id)
{
    config.version = SLIRP_CONFIG_VERSION_MAX;
    config.restricted = restricted;
    config.disable_host_loopback = disable_host_loopback;
    config.disable_dns = disable_dns;
    config.disable_dhcp = disable_dhcp;
    config.enable_emu = enable_emu;
    config.if_mtu = mtu;
    config.if_mru = mru;
    config.mfr_id = manufacturer_id;
}

/* Addresses are 32-bit values in network order as they lie in memory. */
void stack_configure_ipv4(uint32_t network, uint32_t mask, uint32_t gateway, uint32_t dhcp_start, uint32_t name_server)
{
    config.in_enabled = true;
    config.vnetwork.s_addr = network;
    config.vnetmask.s_addr = mask;
    config.vhost.s_addr = gateway;
    config.vdhcp_start.s_addr = dhcp_start;
    config.vnameserver.s_addr = name_server;
}

/* addresses: prefix, gateway, name server, 16 bytes each. */
void stack_configure_ipv6(const uint8_t *addresses, int prefix_length)
{
    config.in6_enabled = true;
    memcpy(&config.vprefix_addr6, addresses, 16);
    memcpy(&config.vhost6, addresses + 16, 16);
    memcpy(&config.vnameserver6, addresses + 32, 16);
    config.vprefix_len = prefix_length;
}

/* Each of them NULL or a text that must live until stack_destroy. search ends with NULL. */
void stack_configure_names(const char *hostname, const char *domain_name, const char **search, const char *tftp_root,
                           const char *tftp_server_name, const char *boot_file)
{
    config.vhostname = hostname;
    config.vdomainname = domain_name;
    config.vdnssearch = search;
    config.tftp_path = tftp_root;
    config.tftp_server_name = tftp_server_name;
    config.bootfile = boot_file;
}

/* Addresses that connections leave from: NULL, or 4 and 16 bytes. mac: NULL or 6 bytes. */
void stack_configure_outbound(const uint8_t *address, const uint8_t *address6, const uint8_t *mac)
{
    if (address) {
        outbound.sin_family = AF_INET;
        memcpy(&outbound.sin_addr, address, 4);
        config.outbound_addr = &outbound;
    }
    if (address6) {
        outbound6.sin6_family = AF_INET6;
        memcpy(&outbound6.sin6_addr, address6, 16);
        config.outbound_addr6 = &outbound6;
    }
    if (mac) {
        memcpy(config.oob_eth_addr, mac, sizeof(config.oob_eth_addr));
    }
}
