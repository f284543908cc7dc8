/**
 * Sockets by `node:net` and `node:dgram`, as every platform has them.
 *
 * Node has no ICMP sockets: `openEcho` answers `-ENOTSUP`, and the guest can ping its gateway only.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import { Errno, type HostDatagram, type HostListener, type HostStream } from "../host-network.js";
import { connectNodeStream } from "./connect-node-stream.js";
import { errnoOf } from "./errno-of.js";
import type { BindOptions, HostSockets } from "./host-sockets.js";
import { NodeDatagram } from "./node-datagram.js";
import { bindError, hostText } from "./node-endpoints.js";
import { NodeListener } from "./node-listener.js";
import type { NodeLoop } from "./node-loop.js";

export class NodeSockets implements HostSockets {
  readonly kind = "node";
  readonly #loop: NodeLoop;
  readonly #lingerMs: number;

  constructor(loop: NodeLoop, lingerMs: number) {
    this.#loop = loop;
    this.#lingerMs = lingerMs;
  }

  connectStream(remote: HostEndpoint, local: IpEndpoint | undefined): HostStream | number {
    return connectNodeStream({ loop: this.#loop, lingerMs: this.#lingerMs, remote }, local);
  }

  listenStream(local: HostEndpoint, options: BindOptions | undefined): Promise<HostListener> {
    return NodeListener.listen(this.#loop, this.#lingerMs, local, options);
  }

  openDatagram(family: IpFamily, local: IpEndpoint | undefined): HostDatagram | number {
    const opened = NodeDatagram.open(
      this.#loop,
      family,
      local ? { address: hostText(local), port: local.port } : {},
    );
    return opened instanceof Error ? -errnoOf(opened) : opened;
  }

  // async: what fails shall reject, also where it is known at once.
  async bindDatagram(local: IpEndpoint, options: BindOptions | undefined): Promise<HostDatagram> {
    const opened = NodeDatagram.open(this.#loop, local.family, {
      address: hostText(local),
      port: local.port,
      ipv6Only: options?.ipv6Only ?? false,
    });
    if (opened instanceof Error) throw bindError(local, "udp", opened);
    return opened;
  }

  openEcho(): number {
    return -Errno.ENOTSUP;
  }

  end(): void {
    return;
  }
}
