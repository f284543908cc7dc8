/**
 * What we need of a WebSocket: a browser's own, or the class of the npm package `ws` where there is none (Node 20).
 */
import { ErrorCode, SlirpError } from "../errors.js";

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
 * Reads a relay's URL: `wisp:` and `wisps:` are other names for `ws:` and `wss:`, as v86 has them; `http:` and `https:` too.
 * @throws SlirpError `invalidConfiguration`.
 */
export function relayUrl(text: string, base?: string): URL {
  const names: Record<string, string> = {
    "wisp:": "ws:",
    "wisps:": "wss:",
    "http:": "ws:",
    "https:": "wss:",
  };
  let url: URL;
  try {
    // A URL's scheme cannot be changed once it is parsed where it is not one that the standard knows.
    const scheme = /^[a-z]+:/i.exec(text)?.[0].toLowerCase() ?? "";
    url = new URL((names[scheme] ?? scheme) + text.slice(scheme.length), base);
  } catch (cause) {
    const message = `relay "${text}": not a URL; it looks like wss://relay.example.org/`;
    throw new SlirpError(ErrorCode.invalidConfiguration, message, { cause });
  }
  const replaced = names[url.protocol];
  if (replaced !== undefined) url.protocol = replaced;
  if (url.protocol === "ws:" || url.protocol === "wss:") return url;
  const message = `relay "${text}": the scheme must be ws, wss, wisp or wisps, not ${url.protocol.slice(0, -1)}`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}
