/** Relays for one test each, and what is to be ended with it. */
import { once } from "node:events";
import { afterEach } from "vitest";
import { WebSocket } from "ws";
import { listenRelay, type ListeningRelay, type ListenRelayOptions } from "../../src/relay.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";

/** Loopback is open, which it is not by itself. */
export const LOOPBACK_RULES = { allow: ["127.0.0.0/8", "::1"] } as const;

/** See the top of the file. */
export class RelayKit {
  readonly peers = new PeerKit();
  readonly #open: AsyncDisposable[] = [];

  /** Ends what a test has opened, after it. */
  constructor() {
    afterEach(async () => {
      for (const each of this.#open.splice(0).reverse()) await each[Symbol.asyncDispose]();
      await this.peers.close();
    });
  }

  async start(options: ListenRelayOptions = LOOPBACK_RULES): Promise<ListeningRelay> {
    return this.closeLater(await listenRelay(options));
  }

  closeLater<T extends AsyncDisposable>(each: T): T {
    this.#open.push(each);
    return each;
  }

  /** A WebSocket that is open. */
  async connect(url: string, protocols: string[] = []): Promise<WebSocket> {
    const socket = new WebSocket(url, protocols);
    socket.on("error", () => undefined);
    this.#open.push({
      async [Symbol.asyncDispose]() {
        if (socket.readyState === WebSocket.CLOSED) return;
        socket.terminate();
        await once(socket, "close");
      },
    });
    await once(socket, "open");
    return socket;
  }

  /** The HTTP status of an upgrade that is refused, and its text; 101 where it is not. */
  async upgradeStatus(url: string, headers: Record<string, string> = {}): Promise<string> {
    const socket = new WebSocket(url, { headers });
    socket.on("error", () => undefined);
    const opened = once(socket, "open").then(() => {
      socket.terminate();
      return "101";
    });
    const refused = once(socket, "unexpected-response").then(([, response]) => {
      const { statusCode, statusMessage } = response as {
        statusCode: number;
        statusMessage: string;
      };
      return `${String(statusCode)} ${statusMessage}`;
    });
    opened.catch(() => undefined);
    return Promise.race([opened, refused]);
  }
}
