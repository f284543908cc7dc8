/**
 * TAPs by number, what is told of them, and the command for those that stay.
 */
import { expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { deleteTap, listTaps, openTap, TapInstances } from "../../src/tap.js";
import { describeTap } from "../support/describe-tap.js";
import { numberedFrame } from "../support/frames.js";
import { ROOT, runProgram } from "../house/scratch.js";

const invalid = { code: ErrorCode.invalidConfiguration };
const failed = { code: ErrorCode.deviceFailed };

describeTap("instances of TAPs", (test) => {
  test("have the lowest free id, and an interface that is called after it", async (world) => {
    await using taps = new TapInstances();
    const namespace = world.namespace.path;
    const first = await taps.create({ namespace });
    const third = await taps.create({ namespace, id: 2, name: "blue0" });
    const [second, fourth] = await Promise.all([
      taps.create({ namespace }),
      taps.create({ namespace }),
    ]);
    expect([first, second, third, fourth].map(({ id }) => id)).toEqual([0, 1, 2, 3]);
    expect(taps.list().map(({ id, name }) => [id, name])).toEqual([
      [0, "tap0"],
      [1, "tap1"],
      [2, "blue0"],
      [3, "tap3"],
    ]);
    await taps.delete(1);
    expect((await taps.create({ namespace })).id).toBe(1);
  });

  test("may be 1024: 1023 is the last id, and 1024 is refused", async (world) => {
    await using taps = new TapInstances();
    const namespace = world.namespace.path;
    expect((await taps.create({ namespace, id: 1023 })).id).toBe(1023);
    for (const id of [1024, -1, 1.5, 1023]) {
      await expect(taps.create({ namespace, id })).rejects.toMatchObject(invalid);
    }
    await expect(taps.delete(5)).rejects.toMatchObject(invalid);
  });

  test("have the MTU that was set for all, unless they have their own", async (world) => {
    await using taps = new TapInstances({ mtuBytes: 1420 });
    const namespace = world.namespace.path;
    await taps.create({ namespace });
    await taps.create({ namespace, mtuBytes: 9000 });
    expect(taps.list().map(({ mtuBytes }) => mtuBytes)).toEqual([1420, 9000]);
  });

  test("whose making failed have their id free", async (world) => {
    await using taps = new TapInstances();
    const namespace = world.namespace.path;
    const failing = taps.create({ namespace, id: 4, bridge: "nowhere" });
    await expect(failing).rejects.toMatchObject(failed);
    expect((await taps.create({ namespace, id: 4 })).id).toBe(4);
  });

  test("are listed with all that is known of them", async (world) => {
    await world.namespace.ip("link add bridge0 type bridge");
    const namespace = world.namespace.path;
    await using taps = new TapInstances();
    const { queues } = await taps.create({
      namespace,
      queues: 2,
      mac: "52:54:00:12:34:56",
      bridge: "bridge0",
      mtuBytes: 1400,
      owner: 1000,
      addresses: ["10.0.5.1/24"],
    });
    queues[0].send(numberedFrame(1));
    queues[1]?.setQueueEnabled(false);
    taps.switchOffloads(0, { segmentation: false });
    expect(taps.list()).toMatchObject([
      {
        id: 0,
        namespace,
        name: "tap0",
        mac: "52:54:00:12:34:56",
        mtuBytes: 1400,
        isUp: true,
        bridge: "bridge0",
        addresses: ["10.0.5.1/24"],
        isPersistent: false,
        owner: 1000,
        group: undefined,
        hasHeader: true,
        isMultiQueue: true,
        queues: 1,
        disabledQueues: 1,
        offloads: { checksum: true, segmentation: false },
        statistics: { framesFromGuest: 1, bytesFromGuest: 60 },
      },
    ]);
  });

  test("whose interface was deleted are not listed, and can be deleted", async (world) => {
    const namespace = world.namespace.path;
    await using taps = new TapInstances();
    await taps.create({ namespace });
    deleteTap("tap0", { namespace });
    expect(taps.list()).toEqual([]);
    await taps.delete(0);
  });
});

describeTap("interfaces of others", (test) => {
  test("are listed, those that are no TAPs left out", async (world) => {
    const { namespace } = world;
    await namespace.ip(`
      tuntap add mode tap name stays0
      tuntap add mode tun name routed0
      link add bridge0 type bridge`);
    const listed = listTaps({ namespace: namespace.path });
    expect(listed.map(({ name, isPersistent }) => [name, isPersistent])).toEqual([
      ["stays0", true],
    ]);
    for (const name of ["routed0", "bridge0", "lo", "nowhere0"]) {
      expect(() => {
        deleteTap(name, { namespace: namespace.path });
      }).toThrow(expect.objectContaining(failed));
    }
    deleteTap("stays0", { namespace: namespace.path });
    expect(listTaps({ namespace: namespace.path })).toEqual([]);
  });

  test("that are of another kind are not opened as TAPs", async (world) => {
    await world.namespace.ip("tuntap add mode tun name routed0");
    const opening = openTap({ name: "routed0", namespace: world.namespace.path });
    await expect(opening).rejects.toMatchObject({ ...failed, message: /another one: TUN/ });
  });
});

describeTap("slirp-wasm tap", (test) => {
  const run = (...words: string[]) =>
    runProgram(process.execPath, [`${ROOT}/dist/cli/main.js`, "tap", ...words]);

  test("makes an interface that stays, lists and deletes it", async (world) => {
    const netns = ["--netns", world.namespace.path];
    const options = [
      "--ip",
      "10.0.5.1/24",
      "--ip",
      "10.0.6.1/24",
      "--mtu",
      "1400",
      "--owner",
      "1000",
    ];
    const made = await run("create", ...netns, ...options);
    expect([made.status, made.stdout, made.stderr]).toEqual([0, "tap0\n", ""]);
    const several = await run("create", "many0", "--multi-queue", "--no-vnet-header", ...netns);
    expect(several.stdout).toBe("many0\n");
    const listed = await run("list", ...netns);
    expect(listed.stdout).toMatch(
      /^many0 down \S+ mtu 1500 no-vnet-header queues 0 \(0 disabled\) persistent\ntap0 up \S+ mtu 1400 10\.0\.5\.1\/24 10\.0\.6\.1\/24 owner 1000 vnet-header persistent\n$/,
    );
    const json = await run("list", "--json", ...netns);
    expect(
      json.stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { name: string }).name),
    ).toEqual(["many0", "tap0"]);
    expect(await world.namespace.run("ip", "-o", "address", "show", "tap0")).toContain(
      "10.0.5.1/24",
    );
    expect((await run("delete", "tap0", ...netns)).status).toBe(0);
    expect((await run("list", ...netns)).stdout).toMatch(/^many0/);
  });

  test("says in one line what cannot be", async (world) => {
    const netns = ["--netns", world.namespace.path];
    await run("create", "tap0", ...netns);
    for (const [words, status, text] of [
      [["create", "tap0"], 1, "EBUSY"],
      [["create", "sixteen-bytes-xx"], 2, "16 bytes"],
      [["create", "--mtu", "80x"], 2, "--mtu"],
      [["create", "--gateway", "10.0.5.2"], 1, "gateway"],
      [["delete", "lo"], 1, "no TAP"],
      [["delete", "tap7"], 1, "no interface"],
    ] as const) {
      const { stderr, ...ended } = await run(...words, ...netns);
      expect(ended.status, stderr).toBe(status);
      expect(stderr).toContain(text);
      expect(stderr.trim().split("\n")).toHaveLength(1);
    }
  });
});
