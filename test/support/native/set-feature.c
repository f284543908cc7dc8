/* set-feature INTERFACE FEATURE on|off: switches a feature of an interface, as `ethtool -K` does, which not every machine has. */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int handle;
static const char *interface;

static void request(void *data, const char *what)
{
    struct ifreq ifreq = {.ifr_data = data};
    strncpy(ifreq.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(handle, SIOCETHTOOL, &ifreq) >= 0)
        return;
    perror(what);
    exit(1);
}

/* The names of all features, in the order of their bits. */
static struct ethtool_gstrings *read_names(void)
{
    struct {
        struct ethtool_sset_info header;
        __u32 count;
    } sets = {{.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}, 0};
    request(&sets, "ETHTOOL_GSSET_INFO");
    struct ethtool_gstrings *names = calloc(1, sizeof *names + (size_t)sets.count * ETH_GSTRING_LEN);
    names->cmd = ETHTOOL_GSTRINGS;
    names->string_set = ETH_SS_FEATURES;
    names->len = sets.count;
    request(names, "ETHTOOL_GSTRINGS");
    return names;
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;
    interface = arguments[1];
    handle = socket(AF_INET, SOCK_DGRAM, 0);
    const struct ethtool_gstrings *names = read_names();
    for (__u32 bit = 0; bit < names->len; bit++) {
        if (strncmp((const char *)names->data + bit * ETH_GSTRING_LEN, arguments[2], ETH_GSTRING_LEN) != 0)
            continue;
        __u32 blocks = (names->len + 31) / 32;
        struct ethtool_sfeatures *wanted = calloc(1, sizeof *wanted + blocks * sizeof wanted->features[0]);
        wanted->cmd = ETHTOOL_SFEATURES;
        wanted->size = blocks;
        wanted->features[bit / 32].valid = 1u << bit % 32;
        wanted->features[bit / 32].requested = strcmp(arguments[3], "on") == 0 ? 1u << bit % 32 : 0;
        request(wanted, "ETHTOOL_SFEATURES");
        return 0;
    }
    fprintf(stderr, "there is no feature %s\n", arguments[2]);
    return 3;
}
