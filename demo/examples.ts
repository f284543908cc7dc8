/** What one can try by a click. */
import { element, makeButton } from "./dom.js";
import type { GuestConsole } from "./guest-console.js";
import type { Fact } from "./guest.js";

/** What the examples need of the page. */
export interface ExampleParts {
  readonly first: GuestConsole;
  readonly lease: readonly Fact[];
  /** A page to fetch, as the guest names it; undefined where none is known. */
  readonly hello: string | undefined;
  /** Starts the second guest, or gives the one there is. */
  startSecond(): GuestConsole;
  /** Shows what listens at this port of the first guest. */
  showWeb(port: number): Promise<void>;
}

const PAGE = [
  "<!doctype html><title>From the guest</title>",
  "<h1>Hello from the guest</h1>",
  "<p>This page is in the memory of the Linux that runs in the page around it.</p>",
].join("");

const MEETING_PORT = 7000;

/** Puts the buttons there. */
export function addExamples(parts: ExampleParts): void {
  const { first, hello } = parts;
  const buttons = [
    makeButton("Serve a page", async () => {
      first.run(
        `mkdir -p /www; echo '${PAGE}' >/www/index.html; pidof httpd >/dev/null || httpd -h /www`,
      );
      await parts.showWeb(80);
    }),
    makeButton("Two guests talking", () => meet(parts)),
    makeButton("Addresses", () => {
      first.run("ip address show eth0");
    }),
  ];
  if (hello !== undefined) {
    buttons.unshift(
      makeButton("Fetch a page", () => {
        first.run(`wget -qO- ${hello}`);
      }),
    );
  }
  element("examples").replaceChildren(...buttons);
}

/** The second guest says something to the first, which shows it. */
async function meet(parts: ExampleParts): Promise<void> {
  const { first, lease } = parts;
  const port = String(MEETING_PORT);
  first.run(`nc -l -p ${port}`);
  const second = parts.startSecond();
  const own = addressOf(await second.ready);
  second.run(`echo "Hello from the second guest, ${own}" | nc ${addressOf(lease)} ${port}`);
}

function addressOf(lease: readonly Fact[]): string {
  return lease.find(({ key }) => key === "address")?.value ?? "";
}
