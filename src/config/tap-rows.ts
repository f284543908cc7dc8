/**
 * The options of `-netdev tap`, one row each: an example, whether it may repeat, and what its value does to the options that are being
 * gathered. `netdev-tap.ts` tells of the string as a whole.
 */
import type { TapOptions } from "../tap-options.js";
import { readBoolean, readText } from "./option-list.js";
import { readNumber } from "./read-number.js";
import type { SourceText } from "./source-text.js";
import { checkId, QEMU_BOOLEANS } from "./user-options.js";

/** What has been read so far. */
export type TapDraft = { -readonly [Key in keyof TapOptions]: TapOptions[Key] } & {
  addresses?: string[];
  gateways?: string[];
};

/** One row. */
export interface TapRow {
  /** A value to show in an error. */
  readonly example: string;
  readonly repeats: boolean;
  /** Takes the value. `name` is there to be pointed at. */
  readonly read: (value: SourceText, draft: TapDraft, name: SourceText) => void;
}

type Keys<Value> = {
  [Key in keyof TapDraft]-?: Exclude<TapDraft[Key], undefined> extends Value ? Key : never;
}[keyof TapDraft];

function row(example: string, read: TapRow["read"], repeats = false): TapRow {
  return { example, repeats, read };
}

function text(example: string, key: Keys<string>): TapRow {
  return row(example, (value, draft) => {
    draft[key] = readText(value);
  });
}

function flag(key: "exclusive" | "persistent" | "up"): TapRow {
  return row("on", (value, draft) => {
    draft[key] = readBoolean(value, QEMU_BOOLEANS);
  });
}

function number(key: Keys<number>, what: string, min: number, max: number): TapRow {
  return row(String(Math.max(min, 1)), (value, draft) => {
    draft[key] = readNumber(value, { what, min, max });
  });
}

const MAX_DESCRIPTOR = 1_048_575;
const DESCRIPTOR = { what: "descriptor", min: 0, max: MAX_DESCRIPTOR };
const MAX_SEND_BUFFER = 0x7fff_ffff;
const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** QEMU's sizes: bytes, or with a unit behind them. 0 is QEMU's word for no bound. */
function readSendBuffer(value: SourceText, draft: TapDraft): void {
  const unit = UNITS[value.value.slice(-1).toLowerCase()];
  const digits = unit === undefined ? value : value.slice(0, value.value.length - 1);
  const what = "send buffer's size";
  const max = Math.floor(MAX_SEND_BUFFER / (unit ?? 1));
  const count = readNumber(digits, { what, min: 0, max, hint: " (0: no bound)" });
  if (count > 0) draft.sendBufferBytes = count * (unit ?? 1);
}

function readDescriptors(value: SourceText): number[] {
  const pieces = value.split(":");
  if (pieces.length > 1024) {
    throw value.error(`there are ${String(pieces.length)} descriptors`, "write at most 1024");
  }
  return pieces.map((piece) => readNumber(piece, DESCRIPTOR));
}

/** `on` fails where there is no vhost-net, as `vhostforce` does; `auto`, which is ours, goes without then. */
const VHOST: TapRow["read"] = (value, draft) => {
  if (value.value !== "auto") draft.vhost = readBoolean(value, QEMU_BOOLEANS);
  else draft.vhost ??= "auto";
};

/** What is off stays off, as in QEMU. */
const VHOST_FORCE: TapRow["read"] = (value, draft) => {
  if (readBoolean(value, QEMU_BOOLEANS) && draft.vhost !== false) draft.vhost = true;
};

const QEMU_ROWS: [string, TapRow][] = [
  [
    "id",
    row("net0", (value) => {
      checkId(value);
    }),
  ],
  ["ifname", text("tap0", "name")],
  [
    "fd",
    row("3", (value, draft) => {
      draft.fd = readNumber(value, DESCRIPTOR);
    }),
  ],
  [
    "fds",
    row("3:4", (value, draft) => {
      draft.fds = readDescriptors(value);
    }),
  ],
  ["script", text("/etc/qemu-ifup", "upScript")],
  ["downscript", text("/etc/qemu-ifdown", "downScript")],
  ["br", text("br0", "bridge")],
  [
    "helper",
    row("/usr/lib/qemu/qemu-bridge-helper", (value, draft) => {
      draft.helper = readText(value);
    }),
  ],
  ["sndbuf", row("1M", readSendBuffer)],
  [
    "vnet_hdr",
    row("on", (value, draft) => {
      draft.vnetHeader = readBoolean(value, QEMU_BOOLEANS);
    }),
  ],
  ["vhost", row("on", VHOST)],
  ["vhostforce", row("on", VHOST_FORCE)],
  [
    "vhostfd",
    row("4", (value, draft) => {
      draft.vhostFd = readNumber(value, DESCRIPTOR);
    }),
  ],
  [
    "vhostfds",
    row("4:5", (value, draft) => {
      draft.vhostFds = readDescriptors(value);
    }),
  ],
  ["poll-us", number("vhostBusyPollUs", "busy polling time in microseconds", 0, 0x7fff_ffff)],
  ["queues", number("queues", "number of queues", 1, 256)],
];

/** Those that QEMU does not have. */
const OUR_ROWS: [string, TapRow][] = [
  ["netns", text("blue", "namespace")],
  ["exclusive", flag("exclusive")],
  ["persistent", flag("persistent")],
  ["owner", number("owner", "user's number", 0, 0xffff_fffe)],
  ["group", number("group", "group's number", 0, 0xffff_fffe)],
  ["mac", text("52:54:00:12:34:56", "mac")],
  ["mtu", number("mtuBytes", "MTU in bytes", 68, 65_521)],
  ["up", flag("up")],
  [
    "ip",
    row(
      "10.0.5.1/24",
      (value, draft) => {
        (draft.addresses ??= []).push(readText(value));
      },
      true,
    ),
  ],
  [
    "gateway",
    row(
      "10.0.5.2",
      (value, draft) => {
        (draft.gateways ??= []).push(readText(value));
      },
      true,
    ),
  ],
];

/** Every option, by name. */
export const TAP_ROWS: ReadonlyMap<string, TapRow> = new Map([...QEMU_ROWS, ...OUR_ROWS]);
