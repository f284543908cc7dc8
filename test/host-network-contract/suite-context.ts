/** What every case of the suite works with: a network of its own, peers, and the short ways to both. */
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect } from "vitest";
import { ipEndpoint, type HostEndpoint, type IpEndpoint } from "../../src/address.js";
import type { HostNetwork, HostStream } from "../../src/host-network.js";
import type { HostNetworkFixture } from "./fixture.js";
import type { PeerKit, PeerServer } from "./peer-kit.js";
import { DatagramUser, ListenerUser, opened, StreamUser } from "./stack-side.js";

/** A stream of ours, connected to a socket of the far side. */
export interface ConnectedStream {
  readonly user: StreamUser;
  readonly peer: Socket;
  readonly server: PeerServer;
}

export class SuiteContext {
  readonly fixture: HostNetworkFixture;
  #network: HostNetwork | undefined;

  constructor(fixture: HostNetworkFixture) {
    this.fixture = fixture;
    beforeEach(async () => {
      this.#network = await fixture.make();
    });
    afterEach(async () => {
      await this.#network?.close();
      await fixture.peers.close();
    });
  }

  /** The running case's network. */
  get network(): HostNetwork {
    if (!this.#network) throw new Error("there is a network only while a case runs");
    return this.#network;
  }

  get peers(): PeerKit {
    return this.fixture.peers;
  }

  /** A stream that connects and that nobody listens to yet. */
  open(remote: HostEndpoint, localAddress?: string): HostStream {
    const options = localAddress === undefined ? {} : { local: ipEndpoint(localAddress, 0) };
    return opened(this.network.connectStream(remote, options));
  }

  /** A stream that connects. */
  connect(remote: HostEndpoint, localAddress?: string): StreamUser {
    return new StreamUser(this.open(remote, localAddress));
  }

  /** A stream that has connected to a new TCP server, or to the one given. */
  async connectedStream(server?: PeerServer): Promise<ConnectedStream> {
    const used = server ?? (await this.peers.tcpServer());
    const user = this.connect(used.endpoint);
    expect(await user.connected()).toBe(0);
    return { user, peer: await used.connection(), server: used };
  }

  async listen(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<ListenerUser> {
    return new ListenerUser(await this.network.listenStream(local, options));
  }

  openDatagram(family: 4 | 6): DatagramUser {
    return new DatagramUser(opened(this.network.openDatagram(family)));
  }

  async bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<DatagramUser> {
    return new DatagramUser(await this.network.bindDatagram(local, options));
  }
}
