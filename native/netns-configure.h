/* Brings an interface up, with what it needs to reach the stack behind it. */
#ifndef SLIRP_WASM_NETNS_CONFIGURE_H
#define SLIRP_WASM_NETNS_CONFIGURE_H

/* Texts as people write them; NULL and 0: left as it is. */
struct link_settings {
    /* "10.0.2.100/24" */
    const char *address;
    const char *gateway;
    /* "fd00::100/64" */
    const char *address6;
    const char *gateway6;
    /* "02:00:00:00:00:01" */
    const char *mac;
    int mtu;
};

/* In this thread's network namespace; `lo` is brought up too. -1, and a line on standard error, where something is refused. */
int configure_link(const char *name, const struct link_settings *settings);

#endif
