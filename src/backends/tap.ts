/**
 * Opens TAP backends: by name, or on a descriptor that somebody else opened.
 */
import { closeSync } from "node:fs";
import { ErrorCode, SlirpError } from "../errors.js";
import { loadTapAddon } from "./tap-addon.js";
import { TapBackend } from "./tap-backend.js";
import { adoptTapDescriptor, openTapDescriptor, type TapDeviceOptions } from "./tap-device.js";

/** How a backend comes by its device. */
export interface TapOptions extends TapDeviceOptions {
  /**
   * A descriptor that is attached to a TAP already, instead of everything else. It is the backend's from then on, which closes it; when
   * opening fails it stays the caller's.
   */
  readonly fd?: number;
  readonly signal?: AbortSignal;
}

/**
 * Opens a TAP. Receiving is off, and the link as it was: a new interface is down.
 * @throws SlirpError `addonUnavailable`, `invalidConfiguration`, `deviceFailed`, `unsupportedCapability`; the signal's reason
 */
export async function openTap(options: TapOptions = {}): Promise<TapBackend> {
  options.signal?.throwIfAborted();
  const addon = loadTapAddon();
  if (options.fd !== undefined) {
    refuseBeside(options);
    return new TapBackend(addon, adoptTapDescriptor(addon, options.fd));
  }
  const descriptor = openTapDescriptor(addon, options);
  try {
    return new TapBackend(addon, descriptor);
  } catch (error) {
    closeSync(descriptor.fd);
    throw error;
  }
}

/** Options that say how to make what a descriptor already is. */
const MAKING = [
  "name",
  "namespace",
  "devicePath",
  "vnetHeader",
  "multiQueue",
  "exclusive",
] as const satisfies readonly (keyof TapOptions)[];

function refuseBeside(options: TapOptions): void {
  const beside = MAKING.find((name) => options[name] !== undefined);
  if (beside === undefined) return;
  const text = `option ${beside}: there is a descriptor (fd), which has been opened already; leave one of them out`;
  throw new SlirpError(ErrorCode.invalidConfiguration, text);
}
