/**
 * What we need of a WebSocket: a browser's own, or the class of the npm package `ws` where there is none (Node 20).
 */
import { ErrorCode, SlirpError } from "./errors.js";

/** The part of a WebSocket that is used here (https://websockets.spec.whatwg.org). */
export interface WebSocketLike {
  /** Set to `arraybuffer` before anything comes. */
  binaryType: string;
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that were given to `send` and have not left yet. */
  readonly bufferedAmount: number;
  /** Sends a binary message. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Begins to close it. Default code: none. */
  close(code?: number, reason?: string): void;
  /** Messages can be sent from now on. */
  onopen: ((event: never) => void) | null;
  /** `data` is an ArrayBuffer, or the text of a text message. */
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  /** It is closed, or did not open; nothing comes after that. */
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  /** Something went wrong; `onclose` follows. */
  onerror: ((event: never) => void) | null;
  /** Reading stops. Only `ws` has these two. */
  pause?(): void;
  /** Reading goes on. */
  resume?(): void;
}

/** How one is made. */
export type WebSocketClass = new (url: string, protocols?: string[]) => WebSocketLike;

/** `readyState` of a WebSocket that can be sent on. */
export const WEB_SOCKET_OPEN = 1;

/** The class given, or the global one. @throws SlirpError `missingRequirement` where there is neither. */
export function webSocketClass(given: WebSocketClass | undefined): WebSocketClass {
  const found = given ?? (globalThis as { WebSocket?: unknown }).WebSocket;
  if (found === undefined) {
    const text =
      "there is no global WebSocket here: give a class as `webSocket`, such as that of the package ws";
    throw new SlirpError(ErrorCode.missingRequirement, text);
  }
  return found as WebSocketClass;
}

/**
 * Whether `send` copies, so that the caller may use the memory again. A browser's own does (https://websockets.spec.whatwg.org: the bytes
 * of the view in the moment of the call); whatever else goes by the name, `ws` among it, may keep what it is given.
 */
export function copiesWhatItSends(socket: WebSocketLike): boolean {
  const { send } = socket as { readonly send: unknown };
  return Function.prototype.toString.call(send).includes("[native code]");
}
