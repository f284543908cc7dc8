/**
 * bhyve's slirp backend, as its `-s …,virtio-net,slirp,…` has it behind the device:
 *
 *     slirp[,open][,hostfwd=rule;rule;…]
 *
 * bhyve's defaults are kept, since whoever carries such a line over relies on them: IPv4 only, and restricted unless `open`
 * is there (which bhyve has since November 2025; before, always). Not kept is its 2048-byte MTU: no guest learns of it, so
 * that datagrams above 1500 bytes would only be dropped by the guest's NIC. `mac` and `mtu`, which bhyve takes in the same
 * list, are the NIC's and refused here.
 */
import { ErrorCode } from "../errors.js";
import type { SlirpOptions } from "../slirp-options.js";
import { readHostForwards } from "./host-forward.js";
import { readBoolean, readOptionList, requireValue } from "./option-list.js";
import { SourceText } from "./source-text.js";

const LIST_FORM = {
  doubledCommas: false,
  known: ["open", "hostfwd", "mac", "mtu"],
  repeating: new Set<string>(),
};

const BHYVE_BOOLEANS = { yes: ["true", "on", "yes", "1"], no: ["false", "off", "no", "0"] };

/**
 * Reads `slirp` or `slirp,open,hostfwd=rule;…`.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right
 */
export function parseBhyveSlirp(backend: string): SlirpOptions {
  const source = SourceText.of("backend", backend);
  if (backend !== "slirp" && !backend.startsWith("slirp,")) {
    throw source.error(
      "it does not begin with slirp",
      'write "slirp" or "slirp,open,hostfwd=rule;…"',
    );
  }
  const defaults = { ipv6: false, restricted: true } as const;
  if (backend === "slirp") return defaults;
  const options: { -readonly [Key in keyof SlirpOptions]: SlirpOptions[Key] } = { ...defaults };
  for (const option of readOptionList(source.slice("slirp,".length), LIST_FORM)) {
    if (option.name.value === "open") {
      options.restricted = option.value ? !readBoolean(option.value, BHYVE_BOOLEANS) : false;
    } else if (option.name.value === "hostfwd") {
      options.hostForwards = readHostForwards(requireValue(option, "tcp::8080-:80"));
    } else {
      const problem = `the option ${option.name.quoted} is the NIC's, not the backend's`;
      throw option.name.error(problem, "leave it out", ErrorCode.unsupportedOption);
    }
  }
  return options;
}
