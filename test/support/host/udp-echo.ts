/** A UDP server on the host that sends back what comes, from the address that was asked. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** See the top of the file. */
export class HostUdpEcho {
  /** Lengths of the datagrams that came. */
  readonly lengths: number[] = [];
  readonly #socket: Socket;

  static async start(host: "127.0.0.1" | "::1"): Promise<HostUdpEcho> {
    const socket = createSocket(host === "::1" ? "udp6" : "udp4");
    socket.bind(0, host);
    await once(socket, "listening");
    return new HostUdpEcho(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, { port, address }) => {
      this.lengths.push(message.length);
      socket.send(message, port, address);
    });
  }

  get port(): number {
    return this.#socket.address().port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
