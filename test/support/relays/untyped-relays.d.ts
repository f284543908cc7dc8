/** Relays and clients that come without types: what our tests use of them. */
declare module "@mercuryworkshop/wisp-js/server" {
  import type { IncomingMessage } from "node:http";
  import type { Socket } from "node:net";

  export const logging: { readonly NONE: number; set_level(level: number): void };
  export const server: {
    readonly options: {
      allow_loopback_ips: boolean;
      allow_private_ips: boolean;
      wisp_version: 1 | 2;
    };
    routeRequest(request: IncomingMessage, socket: Socket, head: Buffer): void;
  };
}

declare module "wisp-server-node" {
  import type { IncomingMessage } from "node:http";
  import type { Socket } from "node:net";

  const wisp: {
    routeRequest(
      request: IncomingMessage,
      socket: Socket,
      head: Buffer,
      options?: { readonly logLevel?: number; readonly pingInterval?: number },
    ): void;
  };
  export default wisp;
}
