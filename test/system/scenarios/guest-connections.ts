/** Inwards without the host's sockets: JavaScript that connects to servers in the guest. */
import { createHash } from "node:crypto";
import { expect, it, type TestContext } from "vitest";
import { ErrorCode } from "../../../src/node.js";
import { makeRandomFile, succeed } from "../../support/guest-commands.js";
import type { Rig } from "../../support/rig.js";

const FILE_BYTES = 4 * 1024 * 1024;

const ECHO_CGI = String.raw`#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s %s ' "$REQUEST_METHOD" "$CONTENT_LENGTH"
cat`;

export function describeGuestConnections(rigOf: (ctx: TestContext) => Rig): void {
  it("fetches from the guest's web server: a file, a folder that redirects, a missing file, a form", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    const sha256 = await makeRandomFile(guest, "/var/www/file", FILE_BYTES);
    await succeed(
      guest,
      "mkdir -p /var/www/cgi-bin /var/www/folder && echo inside > /var/www/folder/index.html",
    );
    await succeed(
      guest,
      `cat > /var/www/cgi-bin/echo <<'END'\n${ECHO_CGI}\nEND\nchmod +x /var/www/cgi-bin/echo`,
    );
    await succeed(guest, "httpd -p 8080 -h /var/www");
    try {
      const file = await slirp.fetch("http://guest:8080/file");
      const hash = createHash("sha256").update(new Uint8Array(await file.arrayBuffer()));
      expect(hash.digest("hex")).toBe(sha256);
      const folder = await slirp.fetch("http://guest:8080/folder");
      expect([folder.redirected, await folder.text()]).toEqual([true, "inside\n"]);
      expect((await slirp.fetch("http://guest:8080/none")).status).toBe(404);
      const echo = await slirp.fetch("http://guest:8080/cgi-bin/echo", {
        method: "POST",
        body: "from the page",
      });
      expect(await echo.text()).toBe("POST 13 from the page");
    } finally {
      await succeed(guest, "killall httpd; rm -rf /var/www/file /var/www/folder /var/www/cgi-bin");
    }
  });

  it("is refused at once where nothing listens", async (ctx) => {
    const { slirp } = rigOf(ctx);
    await expect(slirp.connect({ port: 81 })).rejects.toMatchObject({
      code: ErrorCode.connectionRefused,
    });
  });

  it("half-closes: the guest answers what it has read to the end", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    await succeed(
      guest,
      "nc -l -p 7001 -e sha256sum & until netstat -tln | grep -q :7001; do sleep 0.1; done",
    );
    const bytes = new Uint8Array(1_000_000).fill(7);
    const socket = await slirp.connect({ port: 7001 });
    const writer = socket.writable.getWriter();
    const written = writer.write(bytes).then(() => writer.close());
    const answer = await new Response(socket.readable).text();
    await written;
    expect(answer).toContain(createHash("sha256").update(bytes).digest("hex"));
    await socket.closed;
  });
}
