/** What the guest was given: addresses, gateway, name server. */
import { element, make } from "../dom.js";
import type { Fact } from "../guest.js";

const NAMES: readonly (readonly [key: string, name: string])[] = [
  ["address", "IPv4 address"],
  ["inet6", "IPv6 address"],
  ["gateway", "Gateway"],
  ["dns", "Name server"],
  ["mac", "MAC address"],
];

/** Shows the lease's facts in words. */
export function showLease(facts: readonly Fact[]): void {
  const rows = NAMES.flatMap(([key, name]) => {
    const values = facts.filter((fact) => fact.key === key).map(({ value }) => value);
    return values.length === 0 ? [] : [make("dt", name), make("dd", values.join(", "))];
  });
  element("lease").replaceChildren(...rows);
}
