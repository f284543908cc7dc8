/** Ports on the relay's machine that lead into the guest: opened and closed here. */
import type { HostForward, Slirp } from "slirp-wasm/browser";
import { element, fillTable, makeButton, messageOf } from "../dom.js";

/** Makes the form work. */
export function setUpPorts(slirp: Slirp): void {
  const note = element("ports-note");
  const guestPort = element<HTMLInputElement>("guest-port");
  const hostPort = element<HTMLInputElement>("host-port");
  const show = (): void => {
    const rows = slirp.forwards().map((forward) => [
      describeHost(forward),
      `port ${String(forward.guestPort)}`,
      makeButton("Close", () => {
        slirp.removeForward(forward);
        show();
      }),
    ]);
    fillTable("forwards", 3, rows);
  };
  element("ports").addEventListener("submit", (event) => {
    event.preventDefault();
    note.textContent = "Opening the port";
    const rule = `tcp::${hostPort.value || "0"}-:${guestPort.value}`;
    slirp.addForward(rule).then(
      (forward) => {
        note.textContent = `Open: ${describeHost(forward)}`;
        show();
      },
      (error: unknown) => (note.textContent = messageOf(error)),
    );
  });
  show();
}

function describeHost({ host }: HostForward): string {
  return "path" in host ? host.path : `${host.address}:${String(host.port)}`;
}
