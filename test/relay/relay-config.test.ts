import { describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { parseRelayConfig } from "../../src/relay/relay-config.js";

describe("a relay's configuration file", () => {
  it("may say everything", () => {
    const config = {
      host: "::1",
      port: 443,
      allow: ["10.0.0.0/8"],
      deny: ["*:22"],
      names: ["*.example.org"],
      origins: "*",
      tokens: ["a"],
      users: { ann: "b" },
      motd: "hello",
      forwards: { ports: ["8000-8999"], tokens: ["t"], addresses: ["127.0.0.1"] },
      limits: { maxStreams: 5 },
      tls: { cert: "c.pem", key: "k.pem" },
    };
    expect(parseRelayConfig(JSON.stringify(config))).toEqual(config);
  });

  it.each([
    ["{", "not JSON"],
    ["[]", "the file must be an object"],
    ['{"alow": []}', "no alow; there are host, port, allow"],
    ['{"constructor": []}', "no constructor"],
    ['{"allow": "10.0.0.0/8"}', "allow must be a list of texts"],
    ['{"port": 65536}', "port must be a number"],
    ['{"users": {"ann": 1}}', "users.ann must be a text"],
    ['{"limits": {"maxStream": 1}}', "no limits.maxStream; there are maxConnections"],
    ['{"limits": {"maxStreams": 0}}', "limits.maxStreams must be a whole number"],
    ['{"forwards": {"port": []}}', "no forwards.port; there are ports"],
    ['{"forwards": {"tokens": []}}', "forwards.ports must be a list"],
    ['{"tls": {"cert": "c"}}', "tls.key must be a text"],
    ['{"tls": {"ca": "c"}}', "no tls.ca"],
    ['{"origins": "https://example.org"}', "origins must be a list"],
  ])("is refused by the key's name: %s", (text, message) => {
    expect(() => parseRelayConfig(text)).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(message) as string,
      }),
    );
  });
});
