/**
 * What the structured clone of a message loses or refuses, put into a form that it takes: errors keep their class and code, URLs stay
 * URLs, and functions that are told things (`onLog`, `onStatus`) become numbers that the other end calls by message.
 *
 * A packed value is a plain object whose one key no other object has. What cannot cross at all is refused with the place where it stands.
 */
import { ErrorCode, SlirpError } from "../errors.js";

const TAG = "slirp-wasm:packed";

type Packed =
  | { readonly kind: "url"; readonly href: string }
  | { readonly kind: "callback"; readonly id: number }
  | {
      readonly kind: "error";
      readonly name: string;
      readonly message: string;
      readonly code: unknown;
      readonly cause: unknown;
    };

/** A function that is told things and answers nothing. */
export type Callback = (...args: unknown[]) => void;

/** Errors that come out as what they were; others become an Error of their name. */
const ERROR_CLASSES: Readonly<Record<string, new (message: string) => Error>> = {
  RangeError,
  TypeError,
  SyntaxError,
};

/**
 * Packs a value for `postMessage`.
 * @param path what the value is called, for errors.
 * @param keep keeps a callback and answers its number. Without it functions are refused.
 * @throws SlirpError `unsupportedOption` for what cannot be sent.
 */
export function packValue(
  value: unknown,
  path: string,
  keep?: (callback: Callback) => number,
): unknown {
  if (typeof value === "function") {
    if (keep && /(^|\.)on[A-Z]\w*$/.test(path)) {
      return tagged({ kind: "callback", id: keep(value as Callback) });
    }
    throw cannotCross(path, "a function");
  }
  if (typeof value === "symbol") throw cannotCross(path, "a symbol");
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return packError(value);
  if (value instanceof URL) return tagged({ kind: "url", href: value.href });
  if (Array.isArray(value)) {
    return value.map((item, index) => packValue(item, `${path}[${String(index)}]`, keep));
  }
  if (isPlain(value)) {
    const entries = Object.entries(value).map(([name, item]) => [
      name,
      packValue(item, path === "" ? name : `${path}.${name}`, keep),
    ]);
    return Object.fromEntries(entries);
  }
  if (isCloneable(value)) return value;
  throw cannotCross(path, `an instance of ${value.constructor.name}`);
}

/** Packs an error with its code and what caused it. Nothing is thrown: what cannot cross becomes text. */
export function packError(error: unknown): unknown {
  if (!(error instanceof Error)) {
    try {
      return structuredClone(error);
    } catch {
      return String(error);
    }
  }
  const { name, message, cause } = error;
  const code = (error as { code?: unknown }).code;
  return tagged({
    kind: "error",
    name,
    message,
    code: typeof code === "object" || typeof code === "function" ? undefined : code,
    cause: cause === undefined ? undefined : packError(cause),
  });
}

/** Undoes `packValue` and `packError`. `call` is told when a callback is called. */
export function unpackValue(value: unknown, call?: (id: number, args: unknown[]) => void): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => unpackValue(item, call));
  if (!isPlain(value)) return value;
  const packed = (value as { [TAG]?: Packed })[TAG];
  if (packed === undefined) {
    const entries = Object.entries(value).map(([name, item]) => [name, unpackValue(item, call)]);
    return Object.fromEntries(entries);
  }
  switch (packed.kind) {
    case "url":
      return new URL(packed.href);
    case "callback":
      return (...args: unknown[]) => call?.(packed.id, args);
    case "error":
      return unpackError(packed);
  }
}

function unpackError({ name, message, code, cause }: Extract<Packed, { kind: "error" }>): Error {
  const options = cause === undefined ? undefined : { cause: unpackValue(cause) };
  if (name === "SlirpError") return new SlirpError(code as ErrorCode, message, options);
  const error = new (ERROR_CLASSES[name] ?? Error)(message);
  if (error.name !== name) Object.defineProperty(error, "name", { value: name });
  if (options) Object.assign(error, options);
  return code === undefined ? error : Object.assign(error, { code });
}

function tagged(packed: Packed): unknown {
  return { [TAG]: packed };
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Built-in objects that the structured clone takes. */
function isCloneable(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    value instanceof ArrayBuffer ||
    value instanceof WebAssembly.Module ||
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Date ||
    value instanceof RegExp
  );
}

function cannotCross(path: string, what: string): SlirpError {
  const text =
    `${path}: ${what} cannot go into a worker. A worker script of your own can have it: give it as ` +
    "`worker`, and call serveSlirp of slirp-wasm/worker there with this option";
  return new SlirpError(ErrorCode.unsupportedOption, text);
}
