/**
 * The slirp backend: libslirp behind the contract NetBackend, and what a stack offers beyond it (forwards, a look inside).
 *
 * `createSlirp` of an entry makes one; it gives the host network and the compiled module, which this folder does not choose.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork } from "../host-network.js";
import type {
  ConnectionDescription,
  GuestChannel,
  GuestChannelOptions,
  GuestConnectOptions,
  GuestSocket,
  LogLevel,
  SlirpBackend,
  SocketDescription,
} from "../slirp-backend.js";
import type { GuestForward, HostForward, ResolvedSlirpOptions } from "../slirp-options.js";
import { readConnections } from "./connections.js";
import { Forwards } from "./forwards.js";
import { GuestConnections } from "./guest-connections.js";
import { GuestChannels } from "./guest-channels.js";
import { loadState, saveState } from "./saved-state.js";
import { StackBackend } from "./stack-backend.js";
import { Stack } from "./stack.js";

/** What a stack is made of. */
export interface SlirpParts {
  /** From `loadModule`. */
  readonly module: WebAssembly.Module;
  /** What the stack's sockets reach. */
  readonly network: HostNetwork;
  /** From `resolveSlirpOptions` in config. */
  readonly options: ResolvedSlirpOptions;
  /** Close the host network with the stack. Default false: it may serve several. */
  readonly ownsNetwork?: boolean;
  /** Reads a rule that was given as text. Without it, only objects are taken. */
  readonly parseHostForward?: (rule: string) => HostForward;
  /** Closes the stack when it is aborted. */
  readonly signal?: AbortSignal;
  /** Told what libslirp has to say: about a guest's misbehaviour, mostly. Default: nobody. */
  readonly onLog?: (level: LogLevel, text: string) => void;
}

/** A slirp backend whose stack is in this thread: all that `SlirpBackend` has, answered at once where the contract allows a promise. */
export class Slirp extends StackBackend implements SlirpBackend {
  /** The options in force. */
  readonly options: ResolvedSlirpOptions;

  private readonly parts: SlirpParts;
  private readonly forwardTable: Forwards;
  private readonly channels: GuestChannels;
  private readonly guestConnections: GuestConnections;

  private constructor(parts: SlirpParts) {
    super(
      (observer) =>
        new Stack(parts.module, parts.network, parts.options, {
          ...observer,
          onLog: (level, text) => parts.onLog?.(level, text),
        }),
    );
    this.parts = parts;
    this.options = parts.options;
    this.forwardTable = new Forwards(this.stack);
    this.channels = new GuestChannels(this.stack, () => {
      this.checkOpen();
    });
    this.guestConnections = new GuestConnections(this.stack, parts.options, () => this.endReason());
    parts.signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  /**
   * Makes a stack and its forwards.
   * @throws SlirpError `moduleUnusable`, `invalidConfiguration`, `unsupportedOption`, `forwardFailed`; nothing stays open then.
   */
  static async create(parts: SlirpParts): Promise<Slirp> {
    if (parts.options.tftpRoot !== undefined && !parts.network.openFile) {
      const text = `tftp: the host network "${parts.network.name}" has no files to serve`;
      throw new SlirpError(ErrorCode.unsupportedOption, text);
    }
    const slirp = new Slirp(parts);
    try {
      for (const forward of parts.options.guestForwards) slirp.forwardTable.addGuest(forward);
      for (const forward of parts.options.hostForwards) await slirp.addForward(forward);
      parts.signal?.throwIfAborted();
      return slirp;
    } catch (error) {
      await slirp.close();
      throw error;
    }
  }

  /**
   * Opens a host port towards the guest. Answers the forward with the port it got, where 0 was asked for.
   * @throws SlirpError `forwardFailed` (cause: the system's error, e.g. code EADDRINUSE), `invalidConfiguration` for bad text.
   */
  async addForward(forward: HostForward | string): Promise<HostForward> {
    this.checkOpen();
    const added = await this.forwardTable.add(this.readForward(forward));
    if (this.isClosed) {
      throw new SlirpError(
        ErrorCode.closed,
        "the stack was closed while the forward was being bound",
      );
    }
    return added;
  }

  /** Closes a host port; its connections stay. @throws SlirpError `noSuchForward`. */
  removeForward(forward: HostForward | string): void {
    this.checkOpen();
    this.forwardTable.remove(this.readForward(forward));
  }

  /** The host forwards in force. */
  forwards(): HostForward[] {
    return this.forwardTable.list();
  }

  /** Gives an address of the guest's network to something on the host. @throws SlirpError, see `Forwards.addGuest`. */
  addGuestForward(forward: GuestForward): void {
    this.checkOpen();
    if (this.channels.has(forward.serverAddress, forward.serverPort)) {
      const text = `guest forward: ${forward.serverAddress.address} port ${String(forward.serverPort)} has a guest channel`;
      throw new SlirpError(ErrorCode.forwardFailed, text);
    }
    this.forwardTable.addGuest(forward);
  }

  /** The guest forwards in force. */
  guestForwards(): GuestForward[] {
    return this.forwardTable.listGuest();
  }

  /**
   * Gives an address of the guest's network to JavaScript: a channel of bytes without a socket on the host.
   * @throws SlirpError `forwardFailed` where the address or port cannot be had.
   */
  openGuestChannel(options: GuestChannelOptions): GuestChannel {
    this.checkOpen();
    const { address, port } = options;
    const forward = this.guestForwards().find(
      (other) => other.serverPort === port && other.serverAddress.address === address.address,
    );
    if (forward) {
      const text = `guest channel: ${address.address} port ${String(port)} has a guest forward`;
      throw new SlirpError(ErrorCode.forwardFailed, text);
    }
    return this.channels.open(options);
  }

  /**
   * Connects to a TCP port of the guest, without a socket on the host. Fulfilled when the guest has answered.
   * @throws SlirpError `connectionRefused`, `guestUnreachable` (no answer in 75 s), `invalidConfiguration`, `closed`; the signal's reason.
   */
  connect(options: GuestConnectOptions): Promise<GuestSocket> {
    return this.guestConnections.connect(options);
  }

  /**
   * Asks a web server in the guest, as `fetch` does: `http://guest/`, `http://guest:8080/`, or with the guest's address or `localhost` in
   * place of `guest`. Redirects are followed within the guest. No cookies, no cache, no TLS.
   * @throws SlirpError `badHttpResponse` for an answer that is none, `invalidConfiguration`, and what `connect` throws.
   */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const { fetchFromGuest } = await import("./guest-fetch.js");
    return fetchFromGuest((options) => this.connect(options), input, init);
  }

  /**
   * The stack's state, for a stack made later with the same options and the same guest channels open: leases and guest
   * channels' connections. Other connections cannot be saved: their sockets are the host's.
   */
  saveState(): Uint8Array<ArrayBuffer> {
    this.checkOpen();
    return saveState(this.stack);
  }

  /**
   * Loads what `saveState` gave. Only into a stack that no guest has used yet; after an error it must be closed.
   * @throws SlirpError `invalidConfiguration` where the bytes do not fit this stack.
   */
  loadState(saved: Uint8Array): void {
    this.checkOpen();
    loadState(this.stack, saved);
  }

  /** Linear memory of the stack, bytes: what it has ever needed, for it does not shrink. */
  get memoryBytes(): number {
    return this.stack.instance.memoryBytes;
  }

  /** libslirp's table of connections, as QEMU's `info usernet` prints it (IPv4 only). */
  connectionInfo(): string {
    this.checkOpen();
    const { instance, pointer } = this.stack;
    return this.stack.call(() =>
      instance.takeText(instance.exports.slirp_connection_info(pointer)),
    );
  }

  /** libslirp's ARP and NDP tables as text. */
  neighborInfo(): string {
    this.checkOpen();
    const { instance, pointer } = this.stack;
    return this.stack.call(() => instance.takeText(instance.exports.slirp_neighbor_info(pointer)));
  }

  /** Connections between guest and host: see `SlirpBackend`. */
  connections(): ConnectionDescription[] {
    this.checkOpen();
    return this.stack.call(() => readConnections(this.stack.instance));
  }

  /** The host sockets that the stack has open. */
  sockets(): SocketDescription[] {
    return this.stack.table.list();
  }

  /** libslirp's version. */
  get libslirpVersion(): string {
    return this.stack.instance.cTextAt(this.stack.instance.exports.slirp_version_string());
  }

  /** Sockets and timers keep the process alive (the default). It concerns the whole host network. */
  ref(): void {
    this.parts.network.ref();
  }

  /** They do not. */
  unref(): void {
    this.parts.network.unref();
  }

  private endReason(): SlirpError | undefined {
    if (this.stack.failed) return this.stack.failed;
    return this.isClosed || this.stack.isDestroyed
      ? new SlirpError(ErrorCode.closed, "the slirp backend is closed")
      : undefined;
  }

  private readonly onAbort = (): void => {
    void this.close();
  };

  protected override afterTurn(): void {
    this.channels.tellWritable();
  }

  protected override async release(): Promise<void> {
    this.parts.signal?.removeEventListener("abort", this.onAbort);
    if (this.parts.ownsNetwork) await this.parts.network.close();
  }

  private readForward(forward: HostForward | string): HostForward {
    if (typeof forward !== "string") return forward;
    if (this.parts.parseHostForward) return this.parts.parseHostForward(forward);
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      `no parser was given for the rule "${forward}": give an object`,
    );
  }
}
