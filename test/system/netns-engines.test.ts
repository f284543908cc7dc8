/**
 * Container engines that are told to call our program where they would call slirp4netns: rootless Podman and RootlessKit, as `nobody`.
 *
 * Everything they are given is a folder of the test's: home, image store, configuration, user id ranges. The image is Debian's static
 * busybox alone. Podman's runtime wants one kind of cgroups, so that a mount namespace shows it nothing but version 2.
 */
import { execFile, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BECOME_NOBODY, bringWithinReach } from "../support/as-nobody.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { OURS } from "../support/netns-program.js";

const run = promisify(execFile);

/** Unpacked by set-up for the QEMU guest. */
const BUSYBOX = fileURLToPath(
  new URL("../../build/guest/parts/amd64/programs/bin/busybox", import.meta.url),
);

/** Why an engine cannot be tried here; undefined where it can. */
function whyNot(...programs: string[]): string | undefined {
  if (WHY_NO_NAMESPACES !== undefined) return WHY_NO_NAMESPACES;
  const missing = programs.find((name) => spawnSync(name, ["--version"]).error);
  if (missing !== undefined) return `${missing} is not installed`;
  return existsSync(BUSYBOX) ? undefined : `${BUSYBOX} is not there; set-up makes it`;
}

const WHY_NO_PODMAN = whyNot("podman", "crun");
const WHY_NO_ROOTLESSKIT = whyNot("rootlesskit", "newuidmap");

let folder: string;

/** Runs a shell script as `nobody`, with devices, id ranges and cgroups of its own; answers what it prints. */
async function runAsNobody(script: string): Promise<string> {
  const prepare = `
    mount --bind ${folder}/tun /dev/net/tun
    mount -t cgroup2 none /sys/fs/cgroup
    mount --bind ${folder}/subid /etc/subuid
    mount --bind ${folder}/subid /etc/subgid
    ${bringWithinReach(folder)}
    exec ${BECOME_NOBODY.join(" ")} sh -ec "$0"`;
  const env = {
    PATH: process.env["PATH"],
    HOME: join(folder, "home"),
    XDG_RUNTIME_DIR: join(folder, "run"),
    CONTAINERS_CONF: join(folder, "containers.conf"),
  };
  const words = ["--mount", "sh", "-ec", prepare, script];
  const { stdout } = await run("unshare", words, { env, cwd: "/", maxBuffer: 2 ** 26 });
  return stdout;
}

beforeAll(async () => {
  if (WHY_NO_PODMAN !== undefined && WHY_NO_ROOTLESSKIT !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "engine-"));
  chmodSync(folder, 0o755);
  for (const name of ["home", "run", "image", "image/bin", "image/tmp"]) {
    mkdirSync(join(folder, name), { mode: 0o777 });
  }
  copyFileSync(BUSYBOX, join(folder, "image/bin/busybox"));
  chmodSync(join(folder, "image/bin/busybox"), 0o755);
  for (const name of ["sh", "wget", "sha256sum", "httpd"]) {
    symlinkSync("busybox", join(folder, "image/bin", name));
  }
  await run("tar", ["-C", join(folder, "image"), "-cf", join(folder, "image.tar"), "."]);
  await run("mknod", ["-m", "666", join(folder, "tun"), "c", "10", "200"]);
  await run("chown", ["65534:65534", join(folder, "home"), join(folder, "run")]);
  writeFileSync(join(folder, "subid"), "");
  writeFileSync(
    join(folder, "containers.conf"),
    `[engine]
network_cmd_path = "${OURS.path}"
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
`,
  );
});

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(WHY_NO_PODMAN !== undefined)("rootless Podman", () => {
  const podman = "podman --storage-driver vfs --log-level error";

  beforeAll(async () => {
    await runAsNobody(`${podman} import -q ${folder}/image.tar busybox`);
  });

  it("gives a container our network, in our sandbox", async () => {
    await using server = await HostHttpServer.start();
    const file = server.randomFile("podman", 5_000_000);
    const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
    const network = "slirp4netns:allow_host_loopback=true,enable_ipv6=true";
    const output = await runAsNobody(
      `${podman} run --rm --network ${network} busybox sh -c 'wget -q -O - ${url} | sha256sum'`,
    );
    expect(output.slice(0, 64)).toBe(file.sha256);
  });

  it("publishes a container's port by our API", async () => {
    const sums = await runAsNobody(`
      ${podman} run -q -d --name web -p 127.0.0.1::80 --network slirp4netns:port_handler=slirp4netns \
        busybox httpd -f -p 80 -h /bin >&2
      trap '${podman} rm -f -t 0 web >&2' EXIT
      where=$(${podman} port web 80)
      curl -sS --retry 20 --retry-connrefused --retry-delay 1 --max-time 60 http://$where/busybox | sha256sum
      sha256sum < ${BUSYBOX}`);
    const [got, expected] = sums.trim().split("\n");
    expect(got).toBe(expected);
  });
});

describe.skipIf(WHY_NO_ROOTLESSKIT !== undefined)("RootlessKit", () => {
  it.each(["true", "false"])("runs a program on our network, sandbox %s", async (sandbox) => {
    await using server = await HostHttpServer.start();
    const file = server.randomFile("rootlesskit", 5_000_000);
    const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
    writeFileSync(join(folder, "subid"), "nobody:100000:65536\n");
    const confinement = `--slirp4netns-sandbox=${sandbox} --slirp4netns-seccomp=${sandbox}`;
    const output = await runAsNobody(
      `rootlesskit --net=slirp4netns --slirp4netns-binary=${OURS.path} ${confinement} --mtu=65520 --copy-up=/etc \
        sh -c 'curl -sS --max-time 60 ${url} | sha256sum; cat /etc/resolv.conf'`,
    );
    writeFileSync(join(folder, "subid"), "");
    expect(output.slice(0, 64)).toBe(file.sha256);
    expect(output).toContain("nameserver 10.0.2.3");
  });
});
