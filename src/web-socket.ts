/**
 * What we need of a WebSocket: a browser's own, or the class of the npm package `ws` where there is none (Node 20).
 */
import { ErrorCode, SlirpError } from "./errors.js";

/** The part of a WebSocket that is used here (https://websockets.spec.whatwg.org). */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  /** Only `ws` has them: reading stops, and goes on. */
  pause?(): void;
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
