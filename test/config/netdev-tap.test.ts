/**
 * Option strings and names of TAP backends.
 */
import { describe, expect, it } from "vitest";
import { parseNetdevTap, parseTapName } from "../../src/config/index.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";

function refusalOf(parse: () => unknown): SlirpError {
  try {
    parse();
  } catch (error) {
    expect(error).toBeInstanceOf(SlirpError);
    return error as SlirpError;
  }
  throw new Error("it was not refused");
}

describe("the option string tap,…", () => {
  it.each([
    ["tap", {}],
    ["tap,ifname=tap0", { name: "tap0" }],
    ["tap,id=net0,ifname=my,,tap,vnet_hdr=on", { name: "my,tap", vnetHeader: true }],
    ["tap,fd=3", { fd: 3 }],
    ["tap,fds=3:4:5,sndbuf=1M", { fds: [3, 4, 5], sendBufferBytes: 1_048_576 }],
    ["tap,sndbuf=0", {}],
    ["tap,sndbuf=2k", { sendBufferBytes: 2048 }],
    ["tap,helper=/bin/helper --x,br=br7", { helper: "/bin/helper --x", bridge: "br7" }],
    ["tap,script=no,downscript=/x", { upScript: "no", downScript: "/x" }],
    ["tap,queues=4,vhost=off,vhostforce=no", { queues: 4, vhost: false }],
    ["tap,vhost=on", { vhost: true }],
    ["tap,vhost=auto", { vhost: "auto" }],
    ["tap,vhostforce=on", { vhost: true }],
    ["tap,vhost=auto,vhostforce=on", { vhost: true }],
    ["tap,vhostforce=on,vhost=auto", { vhost: true }],
    ["tap,vhostforce=on,vhost=off", { vhost: false }],
    ["tap,vhost=off,vhostforce=on", { vhost: false }],
    ["tap,fd=3,vhostfd=4,poll-us=50", { fd: 3, vhostFd: 4, vhostBusyPollUs: 50 }],
    ["tap,fds=3:4,vhostfds=5:6", { fds: [3, 4], vhostFds: [5, 6] }],
    [
      "tap,netns=blue,ip=10.0.5.1/24,ip=fd00::1/64,gateway=10.0.5.2,mac=52:54:00:12:34:56,mtu=9000,up=on",
      {
        namespace: "blue",
        addresses: ["10.0.5.1/24", "fd00::1/64"],
        gateways: ["10.0.5.2"],
        mac: "52:54:00:12:34:56",
        mtuBytes: 9000,
        up: true,
      },
    ],
    [
      "tap,persistent=on,owner=1000,group=0,exclusive=off",
      { persistent: true, owner: 1000, group: 0, exclusive: false },
    ],
  ])("%s is read", (text, options) => {
    expect(parseNetdevTap(text)).toEqual(options);
  });

  it.each([
    ["tap,fd=3,ifname=tap0", "ifname", 'leave it or "fd" out'],
    ["tap,script=no,fd=3", "script", '"fd"'],
    ["tap,fd=3,vnet_hdr=on", "vnet_hdr", '"fd"'],
    ["tap,fd=3,helper=/x", "helper", '"fd"'],
    ["tap,queues=2,fd=3", "queues", '"fd"'],
    ["tap,fd=3,fds=4:5", "fds", '"fd"'],
    ["tap,fds=4:5,downscript=/x", "downscript", '"fds"'],
    ["tap,fds=4:5,helper=/x", "helper", '"fds"'],
    ["tap,helper=/x,ifname=tap0", "ifname", '"helper"'],
    ["tap,helper=/x,queues=2", "queues", '"helper"'],
    ["tap,helper=/x,ip=10.0.0.1/8", "ip", '"helper"'],
    ["tap,fd=3,vhostfds=4", "vhostfds", 'add "fds"'],
    ["tap,vhostfds=4:5,helper=/x", "vhostfds", 'add "fds"'],
    ["tap,ifname=tap0,vhostfds=4", "vhostfds", 'add "fds"'],
    ["tap,vhostfd=4,fds=3", "vhostfd", 'write "vhostfds"'],
    ["tap,fd=80x", '"80x"', "decimal"],
    ["tap,fds=3::4", "descriptor is missing", "decimal"],
    ["tap,queues=0", "out of range", "1 to 256"],
    ["tap,queues=257", "out of range", "1 to 256"],
    ["tap,sndbuf=1T", '"1T"', "decimal"],
    ["tap,sndbuf=4G", "out of range", "to 1"],
    ["tap,vnet_hdr=maybe", '"maybe"', '"on"'],
    ["tap,vhost=maybe", '"maybe"', '"on"'],
    ["tap,vhostfd=x", '"x"', "decimal"],
    ["tap,fds=3:4,vhostfds=5:", "descriptor is missing", "decimal"],
    ["tap,poll-us=-1", '"-1"', "decimal"],
    ["tap,ifnam=x", '"ifnam"', '"ifname"'],
    ["tap,ifname=", "empty", "leave the option out"],
    ["tap,up", '"up"', "up=on"],
    ["tap,up=on,up=on", "twice", "leave one"],
    ["tape,ifname=x", "does not begin with tap", "tap,name=value"],
  ])("%s is refused, pointing at %s", (text, place, remedy) => {
    const error = refusalOf(() => parseNetdevTap(text));
    expect(error.code).toBe(ErrorCode.invalidConfiguration);
    expect(error.message).toContain(place);
    expect(error.message).toContain(remedy);
    expect(error.message).toMatch(/column \d+/);
  });

  it("at most 1024 descriptors are taken", () => {
    const list = Array.from({ length: 1025 }, (_, i) => i).join(":");
    expect(refusalOf(() => parseNetdevTap(`tap,fds=${list}`)).message).toContain("1025");
    expect(parseNetdevTap(`tap,fds=${list.replace(/:1024$/, "")}`).fds).toHaveLength(1024);
  });
});

describe("the name of a TAP backend", () => {
  it.each([
    ["tap", { name: "tap%d" }],
    ["tap7", { name: "tap7" }],
    ["tap:blue", { name: "blue" }],
    ["tap:ifname=blue,netns=red", { name: "blue", namespace: "red" }],
    ["tap,fd=3", { fd: 3 }],
    ["vmnet", { name: "vmnet%d" }],
    ["vmnet0", { name: "vmnet0" }],
    ["vmnet:netns=red", { name: "vmnet%d", namespace: "red" }],
    ["vmnet:fd=3", { fd: 3 }],
  ])("%s is read", (name, options) => {
    expect(parseTapName(name)).toEqual(options);
  });

  it.each(["tapeworm", "tap0x", "tap:", "tap-0", "vmnets", "tap 0"])(
    "%s is refused: a prefix ends where the name goes on",
    (name) => {
      const error = refusalOf(() => parseTapName(name));
      expect(error.code).toBe(ErrorCode.invalidConfiguration);
      expect(error.message).toContain("tap:NAME");
    },
  );
});
