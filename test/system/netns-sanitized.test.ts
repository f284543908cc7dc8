/**
 * The native code of `slirp-wasm netns` under the sanitizers: the addon, the helper in all that it is asked for, and the addons for TAPs and
 * sockets in the processes that confine themselves.
 */
import { expect } from "vitest";
import { describeSanitized } from "../support/describe-sanitized.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";

const SUITES = ["netns-bess", "netns-confined", "netns-user"].map(
  (name) => `test/system/${name}.test.ts`,
);

/** What it shares with the other addons, which use all of it. */
const SHARED = ["throw.c"];

const LONG = "x".repeat(300);
/** Bytes of an address that never ends, and of one that does at the last byte that there is room for. */
const DIGITS = "1".repeat(63);

const CONFIGURE = ["open", "--netns=NETNS", "--name=tap0", "--vnet-header", "--configure"];

/** What an interface cannot be given. */
const BAD_LINKS: readonly (readonly [readonly string[], RegExp])[] = [
  [["--mac=02:00"], /set MAC/],
  [["--mac=01:00:5e:00:00:01"], /set MAC/],
  [["--mtu=-1"], /set MTU/],
  [["--mtu=65522"], /set MTU/],
  [["--address=10.0.2.100"], /IPv4 address/],
  [["--address=/24"], /IPv4 address/],
  [[`--address=${DIGITS}/24`], /IPv4 address/],
  [[`--address=${DIGITS}1/24`], /IPv4 address/],
  [[`--address=${LONG}/24`], /IPv4 address/],
  [["--address=fd00::1/24"], /IPv4 address/],
  [["--address=10.0.2.100/33"], /IPv4 address/],
  [["--address=10.0.2.100/-1"], /IPv4 address/],
  [["--address=10.0.2.100/"], /IPv4 address/],
  [["--gateway=10.0.2.2"], /IPv4 route/],
  [[`--gateway=${LONG}`], /IPv4 route/],
  [["--address=10.0.2.100/31", "--address6=fd00::1/129"], /IPv6 address/],
  [["--address6=fd00::1/64", "--gateway6=10.0.2.2"], /IPv6 route/],
  [["--address6=fd00::1/64", "--gateway6=::"], /IPv6 route/],
];

/** What the helper is given, in a namespace where nothing is called `lo2`; what it says, and its exit status. */
const BAD: readonly (readonly [readonly string[], RegExp, number?])[] = [
  [[], /its arguments are that program's to know/, 2],
  [["open"], /arguments/, 2],
  [["open", "--netns"], /requires an argument/, 2],
  [["open", "--nonsense=1", "3"], /unrecognized option/, 2],
  [["open", "--netns=NETNS", "--name=tap0", "3", "4"], /arguments/, 2],
  [["accept", "3"], /arguments/, 2],
  [["open", "--netns=/nowhere", "--name=tap0", "3"], /\/nowhere: No such file/],
  [["open", "--netns=/proc/self/ns/uts", "--name=tap0", "3"], /CLONE_NEWNET.*Invalid/],
  [["open", "--netns=NETNS", "--userns=/nowhere", "--name=tap0", "3"], /\/nowhere: No such/],
  [["open", "--netns=NETNS", "--userns=/proc/self/ns/uts", "--name=tap0", "3"], /CLONE_NEWUSER/],
  [["open", "--netns=NETNS", `--name=${LONG}`, "3"], /is longer than 15 bytes/],
  [["open", "--netns=NETNS", "--name=sixteen-bytes-xx", "3"], /is longer than 15 bytes/],
  [["open", "--netns=NETNS", "--name=lo", "3"], /TUNSETIFF/],
  [["open", "--netns=NETNS", "--name=tap0", "99"], /SCM_RIGHTS.*Bad file/],
  ...BAD_LINKS.map(([words, message]) => [[...CONFIGURE, ...words, "3"], message] as const),
  [["accept", "3", `/tmp/${LONG}`], /is longer than 107 bytes/],
  [["accept", "3", "/nowhere/socket"], /\/nowhere\/socket: No such file/],
  [["accept", "3", "/tmp"], /\/tmp: Address already in use/],
  [["confine", "--nonsense", "--", "/bin/true"], /unrecognized option/],
  [["confine", "--read"], /requires an argument/],
  [["confine", "--read=/nowhere", "--write=/dev/null", "--sockets=/tmp"], /^$/],
  [
    ["confine", "--read=/usr", "--", "/nowhere/program"],
    /\/nowhere\/program: (No such|Permission)/,
  ],
];

describeSanitized(
  ["netns", "netns-helper", "tap", "sockets"],
  { missing: WHY_NO_NAMESPACES, suites: SUITES, called: ["netns", "netns-helper"], exempt: SHARED },
  (test) => {
    test("says what is wrong with a helper's arguments, whatever these are", async (build) => {
      await using guest = await GuestNamespace.create();
      for (const [words, message, status = 1] of BAD) {
        const line = words.map((word) => word.replace("NETNS", guest.path("net")));
        const said = await build.run("detect_leaks=0", build.path("netns-helper"), ...line);
        expect(said.stderr, line.join(" ")).toMatch(message);
        expect(said.code, line.join(" ")).toBe(status);
      }
      expect(build.reports).toBe("");
    });

    test("refuses in the addon what it is not meant to be given", async (build) => {
      const script = `
        const { createRequire } = await import("node:module");
        const addon = createRequire("/")(process.env.SLIRP_WASM_ADDONS + "/netns.node");
        const thrown = new Set();
        const values = [undefined, null, -1, 99, 2 ** 31, "", "a\\0b", "x".repeat(9000), {}, [], ["x", 7], [-1], [99], true];
        for (const name of ["receiveDescriptor", "closeDescriptor"]) {
          for (const value of values) {
            if (value === 99) continue;
            try { addon[name](value); thrown.add("nothing"); } catch (error) { thrown.add(error.code ?? error.name); }
          }
        }
        for (const path of values) for (const words of values) for (const fds of values) {
          try { addon.replaceProcess(path, words, fds); } catch (error) { thrown.add(error.code ?? error.name); }
        }
        console.log([...thrown].sort().join(" "));`;
      const ended = await build.run(
        "detect_leaks=0",
        process.execPath,
        "--input-type=module",
        "-e",
        script,
      );
      expect(build.reports).toBe("");
      expect(ended.stdout, ended.stderr).toBe("EBADF ENOENT TypeError\n");
    });
  },
);
