/**
 * From what a client asks for to an address that may be dialled: a name is looked up once, each address judged, and the first that may
 * be reached is the one that is dialled.
 */
import { lookup } from "node:dns/promises";
import { parseIpAddress } from "../address.js";
import { WispReason } from "../wisp.js";
import type { TargetPolicy } from "./target-policy.js";

/** An address to dial, or why not. */
export type DialResult =
  | { readonly address: string; readonly family: 4 | 6 }
  | { readonly reason: number; readonly rule: string };

/** Never rejects. */
export async function chooseAddress(
  policy: TargetPolicy,
  host: string,
  port: number,
): Promise<DialResult> {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const literal = parseIpAddress(bare);
  if (port < 1) return { reason: WispReason.invalid, rule: "port 0 is no target" };
  if (literal) return judgeAll(policy, [literal.address], port);
  if (/[:/%\\]/.test(bare) || bare.length > 253) {
    return { reason: WispReason.invalid, rule: "neither an address nor a name" };
  }
  const name = policy.judgeName(bare);
  if (!name.allowed) return { reason: WispReason.blocked, rule: name.rule };
  try {
    const found = await lookup(bare, { all: true, verbatim: true });
    return judgeAll(
      policy,
      found.map(({ address }) => address),
      port,
    );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      reason: WispReason.unreachable,
      rule: `the name is not to be found (${String(code)})`,
    };
  }
}

function judgeAll(policy: TargetPolicy, addresses: readonly string[], port: number): DialResult {
  let rule = "the name has no address";
  for (const address of addresses) {
    const verdict = policy.judge(address, port);
    if (verdict.allowed) return { address, family: address.includes(":") ? 6 : 4 };
    ({ rule } = verdict);
  }
  return { reason: WispReason.blocked, rule };
}

/** A system's error as a Wisp reason. */
export function reasonOfError({ code }: NodeJS.ErrnoException): number {
  switch (code) {
    case "ECONNREFUSED":
      return WispReason.refused;
    case "ETIMEDOUT":
      return WispReason.connectTimeout;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
      return WispReason.unreachable;
    default:
      return WispReason.networkError;
  }
}
