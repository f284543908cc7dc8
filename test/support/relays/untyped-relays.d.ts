/** Relays and clients that come without types: what our tests use of them. */
declare module "@mercuryworkshop/wisp-js/server" {
  import type { IncomingMessage } from "node:http";
  import type { Socket } from "node:net";

  export const logging: { readonly NONE: number; set_level(level: number): void };
  /** One client of the server. */
  export class ServerConnection {
    readonly ws: { send(packet: Uint8Array): Promise<void>; close(): void };
    /** What the client answered, by the extension's id. */
    readonly client_exts: Readonly<Record<number, { readonly payload: Payload } | undefined>>;
    constructor(
      socket: unknown,
      path: string,
      options: { readonly wisp_version: 1 | 2; readonly wisp_extensions: readonly unknown[] },
    );
    setup(): Promise<void>;
    setup_wisp_v2(): Promise<void>;
    run(): Promise<void>;
  }
  interface Payload {
    readonly username: string;
    readonly password: string;
  }
  type Extension = (new (config: {
    readonly server_config?: object;
    readonly client_config?: object;
  }) => { readonly payload: { serialize(): unknown } }) & {
    readonly id: number;
    readonly Client: { parse(buffer: unknown): Payload };
  };
  export const extensions: { readonly PasswordAuthExtension: Extension };
  export const server: {
    readonly ServerConnection: typeof ServerConnection;
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

declare module "@mercuryworkshop/wisp-js/client" {
  interface Stream {
    onmessage: (data: Uint8Array) => void;
    onclose: (reason: number) => void;
    send(data: Uint8Array): void;
    close(reason?: number): void;
  }
  interface Connection {
    readonly wisp_version: number;
    readonly server_motd: string | null;
    readonly udp_enabled: boolean;
    onopen: () => void;
    onclose: () => void;
    create_stream(host: string, port: number, type?: "tcp" | "udp"): Stream;
    close(): void;
  }
  export const client: {
    readonly ClientConnection: new (
      url: string,
      options?: { readonly wisp_version?: 1 | 2; readonly wisp_extensions?: readonly unknown[] },
    ) => Connection;
  };
  type Extension = new (options: { readonly client_config?: object }) => unknown;
  export const extensions: {
    readonly UDPExtension: Extension;
    readonly MOTDExtension: Extension;
    readonly PasswordAuthExtension: Extension;
  };
}
