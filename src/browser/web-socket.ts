/**
 * A relay's URL as people write it.
 */
import { ErrorCode, SlirpError } from "../errors.js";

export {
  copiesWhatItSends,
  WEB_SOCKET_OPEN,
  webSocketClass,
  type WebSocketClass,
  type WebSocketLike,
} from "../web-socket.js";

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
