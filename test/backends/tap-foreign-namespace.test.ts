/**
 * A descriptor whose interface is in a namespace that its user may not look into, while his own has an interface of that name.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { TapInstances } from "../../src/tap.js";
import { describeTap } from "../support/describe-tap.js";
import { asNobody } from "../support/as-nobody.js";
import { killChild } from "../support/kill-child.js";
import { NetworkNamespace } from "../support/network-namespace.js";

const ENTRY = JSON.stringify(new URL("../../dist/tap.js", import.meta.url).href);

/** Opens the descriptor 3; for each line of its input it tells what it has seen of the interface. */
const SCRIPT = `import { openTap } from ${ENTRY};
  const tap = await openTap({ fd: 3 });
  const links = [];
  tap.onLinkChange = (state) => links.push(state);
  const tell = () => console.log(JSON.stringify({
    name: tap.interfaceName, state: tap.linkState, links, drops: tap.statistics().droppedToGuest }));
  tell();
  process.stdin.on("data", tell).on("end", () => tap.close());`;

/** What the script told. */
interface Seen {
  readonly name: string;
  readonly state: string;
  readonly links: readonly string[];
  readonly drops: number;
}

describeTap("an interface in another's namespace", (test) => {
  test("is the one that is listed of an instance, also after it was renamed", async (world) => {
    await using elsewhere = await NetworkNamespace.create();
    const mac = "52:54:00:12:34:56";
    const theirs = await world.open({ name: "tap0", namespace: elsewhere.path, mac });
    await using instances = new TapInstances();
    await instances.create({ id: 1, namespace: world.namespace.path, name: "tap0" });
    await instances.create({ id: 0, fd: theirs.releaseDescriptor() });
    expect(instances.list()).toMatchObject([
      { id: 0, name: "tap0", mac },
      { id: 1, name: "tap0" },
    ]);
    await elsewhere.ip("link set tap0 name blue0");
    expect(instances.list()).toMatchObject([
      { id: 0, name: "blue0", mac },
      { id: 1, name: "tap0" },
    ]);
    await elsewhere.ip("link delete blue0");
    expect(instances.list()).toMatchObject([{ id: 1 }]);
  });

  test("is not mistaken for one of its name in one's own", async (world) => {
    await using elsewhere = await NetworkNamespace.create();
    const theirs = await world.open({ name: "tap0", namespace: elsewhere.path });
    const fd = theirs.releaseDescriptor();
    const own = await world.open({ name: "tap0", addresses: ["10.0.5.1/24"] });
    const words = asNobody([process.execPath, "--input-type=module", "-e", SCRIPT]);
    const [program, args] = world.namespace.command(...words);
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit", fd] });
    closeSync(fd);
    try {
      const [input, output] = [child.stdin!, child.stdout!];
      const lines = createInterface(output)[Symbol.asyncIterator]();
      const next = async (): Promise<Seen> =>
        JSON.parse((await lines.next()).value as string) as Seen;
      expect(await next()).toEqual({ name: "tap0", state: "down", links: [], drops: 0 });

      // Nobody reads ours: what finds no room in its queue is dropped.
      await world.namespace.ip(`
        link set tap0 txqueuelen 1
        neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0`);
      const flood = "for i in $(seq 1200); do echo x > /dev/udp/10.0.5.2/9; done";
      await world.namespace.run("bash", "-c", flood);
      expect(own.statistics().droppedToGuest).toBeGreaterThan(0);
      await world.namespace.ip("link set tap0 down");
      await world.namespace.ip("link delete tap0");
      input.write("tell\n");
      expect(await next()).toEqual({ name: "tap0", state: "down", links: [], drops: 0 });
      input.end();
      expect(await once(child, "exit")).toEqual([0, null]);
    } finally {
      await killChild(child);
    }
  });
});
