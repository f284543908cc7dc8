/** The kernels of two namespaces as each other's network: a TAP in each, and a cable between the two. */
import { BackendCable } from "../../src/nics/backend-cable.js";
import type { OpenTapOptions, TapBackend } from "../../src/tap.js";
import { TapWorld } from "./describe-tap.js";
import { sumOfServed, transferByKernel } from "./kernel-transfer.js";

const MEGABYTES = 8;

/** What a client says that has fetched all, unchanged. */
export const EXPECTED_FETCH = sumOfServed(MEGABYTES);

/** Addresses of the far kernel. */
export const FAR = { 4: "10.0.5.2", 6: "fd00:5::2" } as const;
const NEAR = { 4: "10.0.5.1", 6: "fd00:5::1" } as const;

type Addresses = typeof FAR | typeof NEAR;
type Queues = readonly [TapBackend, ...TapBackend[]];

/** See the top of the file. */
export interface KernelCable {
  /** Queues of the TAPs; each has its cable to that of the other side. */
  readonly near: Queues;
  readonly far: Queues;
  /** Has one kernel fetch some megabytes from the other by TCP; answers {@link EXPECTED_FETCH} where all is well. */
  readonly fetch: (host?: string) => Promise<string>;
}

/** How a TAP is opened: as `openTapQueues`, unless the test comes by it another way. */
export type OpenQueues = (
  world: TapWorld,
  options: OpenTapOptions,
) => Promise<readonly TapBackend[]>;

const openPlainly: OpenQueues = (world, options) => world.openQueues(options);

async function openEnd(
  world: TapWorld,
  addresses: Addresses,
  options: OpenTapOptions,
  open: OpenQueues,
): Promise<Queues> {
  const conf = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
  await world.namespace.run("sh", "-c", `echo 0 > ${conf}`);
  const both = [`${addresses[4]}/24`, `${addresses[6]}/64`];
  return (await open(world, { ...options, addresses: both })) as readonly TapBackend[] as Queues;
}

/** What may be otherwise. */
export interface KernelCableOptions {
  /** How the near TAP is opened. */
  readonly openNear?: OpenQueues;
  /** Which kernel sends the megabytes. Default "far". */
  readonly servesFrom?: "near" | "far";
}

/** Makes the far side, lays the cables, and takes all of it back after the test's use. */
export async function withKernelCable(
  near: TapWorld,
  options: OpenTapOptions,
  use: (cable: KernelCable) => Promise<void>,
  { openNear = openPlainly, servesFrom = "far" }: KernelCableOptions = {},
): Promise<void> {
  const far = await TapWorld.create();
  try {
    const nearQueues = await openEnd(near, NEAR, options, openNear);
    const farQueues = await openEnd(far, FAR, options, openPlainly);
    const cables = nearQueues.map((queue, i) => new BackendCable(queue, farQueues[i]!));
    const [server, client] = servesFrom === "far" ? [far, near] : [near, far];
    let port = 5000;
    const fetch = (host: string = (servesFrom === "far" ? FAR : NEAR)[4]): Promise<string> =>
      transferByKernel({
        server: server.namespace,
        client: client.namespace,
        host,
        port: port++,
        megabytes: MEGABYTES,
      });
    await use({ near: nearQueues, far: farQueues, fetch });
    for (const cable of cables) cable.close();
  } finally {
    await far.close();
  }
}
