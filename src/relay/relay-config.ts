/**
 * A relay's options out of a JSON file, strictly: a key that is not known or a value of another kind is refused by its name, for a rule
 * that is misspelt would else open what it should close. Pure; `TargetPolicy` reads the rules themselves.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { ForwardOptions } from "./listen-policy.js";
import { DEFAULT_LIMITS, type RelayLimits } from "./limits.js";

/** The file, read. */
export interface RelayConfig {
  readonly host?: string;
  readonly port?: number;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly names?: readonly string[];
  readonly origins?: readonly string[] | "*";
  readonly tokens?: readonly string[];
  readonly users?: Readonly<Record<string, string>>;
  /** Public Ed25519 keys, PEM or base64. */
  readonly keys?: readonly string[];
  readonly motd?: string;
  /** Ports that clients may have opened. */
  readonly forwards?: ForwardOptions;
  /** `HOST:PORT` by path. */
  readonly websockify?: Readonly<Record<string, string>>;
  /** Whether there are rooms, or what their stacks are: a netdev string. */
  readonly rooms?: boolean | string;
  /** Whether DNS over HTTPS is answered, or by which resolvers. */
  readonly dnsOverHttps?: boolean | readonly string[];
  readonly limits?: Partial<RelayLimits>;
  /** Paths of PEM files. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

type Check = (value: unknown, key: string) => void;

const isText: Check = (value, key) => {
  if (typeof value !== "string") throw refuse(key, "a text");
};

const isTexts: Check = (value, key) => {
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
    throw refuse(key, "a list of texts");
  }
};

const isOrigins: Check = (value, key) => {
  if (value !== "*") isTexts(value, key);
};

const isPort: Check = (value, key) => {
  if (!Number.isInteger(value) || Number(value) < 0 || Number(value) > 65_535) {
    throw refuse(key, "a number from 0 to 65535");
  }
};

const isTextByName: Check = (value, key) => {
  for (const [name, text] of entriesOf(value, key)) isText(text, `${key}.${name}`);
};

const isSwitchOrText: Check = (value, key) => {
  if (typeof value !== "boolean" && typeof value !== "string") {
    throw refuse(key, "true, false or a text");
  }
};

const isSwitchOrTexts: Check = (value, key) => {
  if (typeof value !== "boolean") isTexts(value, key);
};

const isLimits: Check = (value, key) => {
  for (const [name, limit] of entriesOf(value, key)) {
    if (!(name in DEFAULT_LIMITS)) throw unknown(`${key}.${name}`, Object.keys(DEFAULT_LIMITS));
    if (!Number.isSafeInteger(limit) || Number(limit) < 1) {
      throw refuse(`${key}.${name}`, "a whole number, 1 or more");
    }
  }
};

const FORWARD_KEYS = ["ports", "tokens", "addresses"];

const isForwards: Check = (value, key) => {
  const parts = entriesOf(value, key);
  for (const [name, list] of parts) {
    if (!FORWARD_KEYS.includes(name)) throw unknown(`${key}.${name}`, FORWARD_KEYS);
    isTexts(list, `${key}.${name}`);
  }
  if (!parts.some(([name]) => name === "ports")) throw refuse(`${key}.ports`, "a list of texts");
};

const isTls: Check = (value, key) => {
  const parts = Object.fromEntries(entriesOf(value, key));
  const strange = Object.keys(parts).find((name) => name !== "cert" && name !== "key");
  if (strange !== undefined) throw unknown(`${key}.${strange}`, ["cert", "key"]);
  isText(parts["cert"], `${key}.cert`);
  isText(parts["key"], `${key}.key`);
};

const CHECKS: Readonly<Record<string, Check>> = {
  host: isText,
  port: isPort,
  allow: isTexts,
  deny: isTexts,
  names: isTexts,
  origins: isOrigins,
  tokens: isTexts,
  users: isTextByName,
  keys: isTexts,
  forwards: isForwards,
  motd: isText,
  websockify: isTextByName,
  rooms: isSwitchOrText,
  dnsOverHttps: isSwitchOrTexts,
  limits: isLimits,
  tls: isTls,
};

/** Reads the file's text. @throws SlirpError `invalidConfiguration` that names the key. */
export function parseRelayConfig(text: string): RelayConfig {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    const message = `the relay's configuration is not JSON: ${String(cause)}`;
    throw new SlirpError(ErrorCode.invalidConfiguration, message, { cause });
  }
  for (const [key, value] of entriesOf(config, "the file")) {
    const check = Object.hasOwn(CHECKS, key) ? CHECKS[key] : undefined;
    if (!check) throw unknown(key, Object.keys(CHECKS));
    check(value, key);
  }
  return config as RelayConfig;
}

function entriesOf(value: unknown, key: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse(key, "an object");
  }
  return Object.entries(value);
}

function refuse(key: string, wanted: string): SlirpError {
  const text = `the relay's configuration: ${key} must be ${wanted}`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}

function unknown(key: string, known: readonly string[]): SlirpError {
  const text = `the relay's configuration: there is no ${key}; there are ${known.join(", ")}`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}
