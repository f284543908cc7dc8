/**
 * One client that has a WebSocket for each TCP connection: wsproxy's `/prefix/host:port`, and websockify's fixed target, which
 * emscripten's sockets expect. Messages are the bytes, nothing else. The target's FIN closes the WebSocket, and so does an error, with
 * a code that says so: there is no other way to tell. A client whose target takes nothing is not read.
 */
import { chooseAddress } from "./dial.js";
import type { RelayContext, RelaySession } from "./relay-context.js";
import type { LinkSender, RelayLink } from "./relay-link.js";
import { TcpTarget, type TcpTargetOwner } from "./tcp-target.js";
import { WISP_HEADER_BYTES } from "../wisp.js";

/** Normal, policy violation, and the code that proxies use for a target that cannot be reached (RFC 6455, 7.4). */
const CloseCode = { normal: 1000, policyViolation: 1008, internalError: 1011 } as const;

/** Bytes that may wait for a target whose client is told that it is over: it is read on, for its own closing. */
const MAX_CLOSING_BYTES = 8 * 1024 * 1024;

/** See the top of the file. */
export class WsproxySession implements RelaySession, TcpTargetOwner, LinkSender {
  readonly #context: RelayContext;
  readonly #client: string;
  readonly #link: RelayLink;
  #target: TcpTarget | undefined;
  #early: Buffer[] = [];
  #connectTimer: NodeJS.Timeout | undefined;
  #isClosing = false;
  #over = false;

  constructor(
    context: RelayContext,
    client: string,
    link: RelayLink,
    target: { readonly host: string; readonly port: number },
  ) {
    this.#context = context;
    this.#client = client;
    this.#link = link;
    context.metrics.streams.inc();
    void this.#open(target.host, target.port);
  }

  receive(message: Buffer): void {
    if (this.#over) return;
    if (!this.#target) {
      this.#early.push(message);
      this.#link.setReading(false);
    } else if (!this.#target.write(message)) {
      if (!this.#isClosing) this.#link.setReading(false);
      else if (this.#target.queuedBytes > MAX_CLOSING_BYTES) this.#target.reset();
    }
  }

  end(): void {
    this.#finish();
    this.#target?.finish(this.#context.limits.lingerMs);
  }

  drain(): void {
    // Its one stream goes on until it ends, or the relay does.
  }

  onRoom(): void {
    this.#target?.resume();
  }

  onConnected(): void {
    clearTimeout(this.#connectTimer);
  }

  onData(message: Buffer): boolean {
    return this.#link.send(message.subarray(WISP_HEADER_BYTES), this);
  }

  onEnd(): void {
    this.#closeLink(CloseCode.normal, "");
  }

  onDrain(): void {
    this.#link.setReading(true);
  }

  onIdle(): void {
    this.#fail("nothing was sent for long");
  }

  onError(error: NodeJS.ErrnoException): void {
    this.#fail(error.code ?? error.message);
  }

  onClose(): void {
    this.#closeLink(CloseCode.normal, "");
  }

  async #open(host: string, port: number): Promise<void> {
    const { policy, limits } = this.#context;
    const chosen = await chooseAddress(policy, host, port);
    if (this.#over) return;
    if ("reason" in chosen) {
      this.#refuse(chosen.rule, `${host}:${String(port)}`);
      return;
    }
    const target = { address: chosen.address, port };
    this.#target = new TcpTarget(this, target, limits.tcpIdleTimeoutMs);
    this.#connectTimer = setTimeout(() => {
      this.#fail("no answer in time");
    }, limits.connectTimeoutMs);
    let hasRoom = true;
    for (const message of this.#early) hasRoom = this.#target.write(message);
    // Else `onDrain` follows.
    if (hasRoom) this.#link.setReading(true);
    this.#early = [];
  }

  #refuse(rule: string, target: string): void {
    this.#context.metrics.refusals.inc({ rule: "blocked" });
    this.#context.log.info({ client: this.#client, rule, target }, "refused a stream");
    this.#closeLink(CloseCode.policyViolation, rule.slice(0, 100));
  }

  /** Its answer must be read, so that the WebSocket ends in order. */
  #closeLink(code: number, reason: string): void {
    this.#isClosing = true;
    this.#link.setReading(true);
    this.#link.close(code, reason);
  }

  #fail(problem: string): void {
    this.#closeLink(CloseCode.internalError, problem.slice(0, 100));
    this.#target?.reset();
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#connectTimer);
    this.#early = [];
    this.#context.metrics.streams.dec();
  }
}
