/** Which paths of a site are the guest's, and what its answers become on the way to the browser. */
import { describe, expect, it } from "vitest";
import {
  fieldsForBrowser,
  formatGuestPlace,
  guestUrl,
  readGuestPlace,
  rewriteLocation,
} from "../../src/guest-bridge.js";

const read = (path: string): ReturnType<typeof readGuestPlace> =>
  readGuestPlace(new URL(path, "http://site"), "/guest/");

describe("a path of the site", () => {
  it("below the bridge's names port, path and query of the guest", () => {
    const place = read("/guest/8080/a/b?c=/d#e");
    expect(place).toEqual({ port: 8080, target: "/a/b?c=/d" });
    if (place) expect(guestUrl(place)).toBe("http://guest:8080/a/b?c=/d");
    expect(formatGuestPlace("/guest/", 8080, "/a")).toBe("/guest/8080/a");
  });

  it("without a slash behind the port has no path yet", () => {
    expect(read("/guest/80")).toEqual({ port: 80, target: undefined });
  });

  it.each([
    "/",
    "/guest",
    "/guest/",
    "/guest/0/",
    "/guest/65536/",
    "/guest/80x/",
    "/other/80/",
    "/guest/123456/",
  ])("that is not the guest's is left alone: %s", (path) => {
    expect(read(path)).toBeUndefined();
  });
});

describe("a Location of the guest", () => {
  const place = { port: 8080, target: "/folder/page?x" };
  it.each([
    ["/login", "/guest/8080/login"],
    ["next?y#z", "/guest/8080/folder/next?y#z"],
    ["http://guest:8080/a", "/guest/8080/a"],
    ["http://localhost/a", "/guest/80/a"],
    ["//127.0.0.1:81/a", "/guest/81/a"],
    ["http://example.org/a", "http://example.org/a"],
    ["https://guest/a", "https://guest/a"],
    ["http://[broken", "http://[broken"],
  ])("%s becomes %s", (location, expected) => {
    expect(rewriteLocation(location, place, "/guest/")).toBe(expected);
  });

  it("is rewritten among the fields; those about the connection, and of what was unpacked, are left out", () => {
    const fields = fieldsForBrowser(
      [
        ["Connection", "close"],
        ["Content-Encoding", "gzip"],
        ["Content-Length", "5"],
        ["Location", "/a"],
        ["X-Mine", "1"],
      ],
      place,
      "/guest/",
    );
    expect(fields).toEqual([
      ["X-Mine", "1"],
      ["location", "/guest/8080/a"],
    ]);
    expect(fieldsForBrowser([["Content-Length", "5"]], place, "/guest/")).toHaveLength(1);
  });
});
