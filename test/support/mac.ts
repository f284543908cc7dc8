/** Locally administered MAC addresses, so that guests on one network differ. */
export function randomMac(): string {
  const tail = [...crypto.getRandomValues(new Uint8Array(3))];
  return `52:54:00:${tail.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}
