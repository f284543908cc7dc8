/** Two ways to sockets: what `NodeHostNetwork` needs of either. Each call is that of the contract `HostNetwork` of the same name. */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import type { HostDatagram, HostListener, HostStream } from "../host-network.js";

export interface BindOptions {
  readonly ipv6Only?: boolean;
}

export interface HostSockets {
  readonly kind: "node" | "native";
  connectStream(remote: HostEndpoint, local: IpEndpoint | undefined): HostStream | number;
  listenStream(local: HostEndpoint, options: BindOptions | undefined): Promise<HostListener>;
  openDatagram(family: IpFamily, local: IpEndpoint | undefined): HostDatagram | number;
  bindDatagram(local: IpEndpoint, options: BindOptions | undefined): Promise<HostDatagram>;
  openEcho(family: IpFamily): HostDatagram | number;
  /** All sockets are closed: what they had in common goes too. */
  end(): void;
}
