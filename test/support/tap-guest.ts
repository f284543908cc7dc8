/** The kernel of a network namespace as the guest of a stack in this process, by a TAP. */
import { BackendCable } from "../../src/nics/backend-cable.js";
import { createSlirp, type Slirp } from "../../src/node.js";
import { openTap, type OpenTapOptions, type TapBackend } from "../../src/tap.js";
import { NetworkNamespace } from "./network-namespace.js";

/** Where the guest finds the host's loopback: the stack's gateway. */
export const GATEWAYS = { 4: "10.0.2.2", 6: "fec0::2" } as const;
/** What the guest is called in its network. */
export const GUESTS = { 4: "10.0.2.100", 6: "fec0::100" } as const;

/** See the top of the file. */
export class TapGuest {
  private constructor(
    readonly namespace: NetworkNamespace,
    readonly tap: TapBackend,
    readonly slirp: Slirp,
    private readonly cable: BackendCable,
  ) {}

  /** @param options of the TAP; its MTU is the stack's, too */
  static async create(options: OpenTapOptions = {}): Promise<TapGuest> {
    const namespace = await NetworkNamespace.create();
    await namespace.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    const { mtuBytes = 1500 } = options;
    const tap = await openTap({
      name: "tap0",
      namespace: namespace.path,
      addresses: [`${GUESTS[4]}/24`, `${GUESTS[6]}/64`],
      mtuBytes,
      ...options,
    });
    const slirp = await createSlirp({ slirp: { mtuBytes } });
    return new TapGuest(namespace, tap, slirp, new BackendCable(tap, slirp));
  }

  /** The command line that runs a program in the guest. */
  readonly command = (...words: string[]): readonly string[] =>
    this.namespace.command(...words).flat();

  async close(): Promise<void> {
    this.cable.close();
    await this.slirp.close();
    await this.tap.close();
    await this.namespace.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
