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
      keys: ["c"],
      motd: "hello",
      forwards: { ports: ["8000-8999"], tokens: ["t"], addresses: ["127.0.0.1"] },
      websockify: { "/db": "127.0.0.1:5432" },
      rooms: "user,net=10.1.0.0/24",
      dnsOverHttps: ["192.0.2.1"],
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
    ['{"websockify": {"/db": 5432}}', "websockify./db must be a text"],
    ['{"rooms": 1}', "rooms must be true, false or a text"],
    ['{"dnsOverHttps": "192.0.2.1"}', "dnsOverHttps must be a list"],
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
