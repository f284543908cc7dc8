/**
 * A host network around another one: everything is passed on, until a subclass does something itself.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import type {
  HostDatagram,
  HostFile,
  HostListener,
  HostNetwork,
  HostStream,
  HostTimer,
  StreamOptions,
} from "../host-network.js";

/** See the top of the file. */
export abstract class HostNetworkLayer implements HostNetwork {
  readonly openFile?: (path: string) => HostFile | number;
  readonly openCommand?: (commandLine: string) => HostStream | number;

  constructor(protected readonly inner: HostNetwork) {
    if (inner.openFile) this.openFile = inner.openFile.bind(inner);
    if (inner.openCommand) this.openCommand = inner.openCommand.bind(inner);
  }

  get name(): string {
    return this.inner.name;
  }

  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    return this.inner.connectStream(remote, options);
  }

  listenStream(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<HostListener> {
    return this.inner.listenStream(local, options);
  }

  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    return this.inner.openDatagram(family, options);
  }

  bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<HostDatagram> {
    return this.inner.bindDatagram(local, options);
  }

  openEcho(family: IpFamily): HostDatagram | number {
    return this.inner.openEcho(family);
  }

  dnsServers(): readonly IpEndpoint[] {
    return this.inner.dnsServers();
  }

  nowMs(): number {
    return this.inner.nowMs();
  }

  dateMs(): number {
    return this.inner.dateMs();
  }

  scheduleTurn(callback: () => void): void {
    this.inner.scheduleTurn(callback);
  }

  setTimer(callback: () => void, delayMs: number, keepAlive?: boolean): HostTimer {
    return this.inner.setTimer(callback, delayMs, keepAlive);
  }

  ref(): void {
    this.inner.ref();
  }

  unref(): void {
    this.inner.unref();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
