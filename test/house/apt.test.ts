/**
 * The private apt asks the mirror that the machine's own apt uses, whichever of the two formats its sources
 * are written in.
 */
import { describe, expect, it } from "vitest";
import { findMirrors, parseDeb822Sources, parseOneLineSources } from "../../scripts/apt.mjs";

const DEB822 = `# Debian
Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/debian.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
`;

const ONE_LINE = `
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/vendor.gpg] https://vendor.example/apt stable-things main
deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main contrib
deb http://mirror.example/sec bookworm-security main
`;

const EMBEDDED_KEY = `Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;

describe("the mirror for the private apt", () => {
  it("is read from deb822 sources", () => {
    expect(findMirrors(parseDeb822Sources(DEB822), {})).toEqual({
      archive: "http://mirror.example/debian",
      security: "http://mirror.example/debian-security",
      signedBy: "/keys/debian.gpg",
    });
  });

  it("is read from one-line sources, third parties left aside", () => {
    expect(findMirrors(parseOneLineSources(ONE_LINE), {})).toEqual({
      archive: "http://mirror.example/debian",
      security: "http://mirror.example/sec",
      signedBy: "/keys/debian.gpg",
    });
  });

  it("keeps a key that is embedded in the sources", () => {
    const { signedBy } = findMirrors(parseDeb822Sources(EMBEDDED_KEY), {});
    expect(signedBy).toMatch(/^\n -+BEGIN[^]*\n \.\n abc\n -+END/);
  });

  it("can be named by the user, and has its security archive beside it", () => {
    const env = { SLIRP_WASM_DEBIAN_MIRROR: "http://mine.example/debian/" };
    expect(findMirrors(parseDeb822Sources(DEB822), env)).toMatchObject({
      archive: "http://mine.example/debian",
      security: "http://mine.example/debian-security",
    });
  });

  it("is asked for when the machine has none", () => {
    expect(() => findMirrors([], {})).toThrow(/SLIRP_WASM_DEBIAN_MIRROR/);
  });
});
