/**
 * QEMU's `-netdev bridge,…` string: a TAP that QEMU's bridge helper, or another one that speaks its protocol, makes and puts into a bridge.
 *
 * As in QEMU: without `br` the bridge is br0, without `helper` it is QEMU's own. Only these two and `id` are known. Not as in QEMU: each once.
 */
import type { TapOptions } from "../tap-options.js";
import { readOptionList, requireValue } from "./option-list.js";
import { SourceText } from "./source-text.js";
import { TAP_ROWS, type TapDraft } from "./tap-rows.js";

const LIST_FORM = {
  doubledCommas: true,
  known: ["id", "br", "helper"],
  repeating: new Set<string>(),
};

/**
 * Reads `bridge` or `bridge,name=value,…`.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right
 */
export function parseNetdevBridge(netdev: string): TapOptions {
  const source = SourceText.of("netdev", netdev);
  if (netdev !== "bridge" && !netdev.startsWith("bridge,")) {
    throw source.error("it does not begin with bridge", 'write "bridge" or "bridge,br=br0"');
  }
  const draft: TapDraft = { helper: true };
  if (netdev === "bridge") return draft;
  for (const option of readOptionList(source.slice("bridge,".length), LIST_FORM)) {
    const row = TAP_ROWS.get(option.name.value);
    row?.read(requireValue(option, row.example), draft, option.name);
  }
  return draft;
}
