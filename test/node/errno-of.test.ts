import { describe, expect, it } from "vitest";
import { Errno } from "../../src/host-network.js";
import { errnoOf } from "../../src/node/errno-of.js";

describe("the number of a system error", () => {
  it("is the one of the same name", () => {
    for (const [code, errno] of Object.entries(Errno)) {
      if (code === "EAGAIN") continue;
      expect(errnoOf(Object.assign(new Error(code), { code }))).toBe(errno);
    }
  });

  it("never makes the stack wait for what has failed", () => {
    expect(errnoOf({ code: "EAGAIN" })).toBe(Errno.ENOBUFS);
  });

  it("is a related one for what Node or the system say otherwise", () => {
    expect(errnoOf({ code: "EHOSTDOWN" })).toBe(Errno.EHOSTUNREACH);
    expect(errnoOf({ code: "ERR_SOCKET_BAD_PORT" })).toBe(Errno.EINVAL);
    expect(errnoOf({ code: "ERR_STREAM_WRITE_AFTER_END" })).toBe(Errno.EPIPE);
  });

  it("is EIO for what has no number", () => {
    for (const error of [new Error("?"), { code: 7 }, { code: "toString" }, null, "text"]) {
      expect(errnoOf(error)).toBe(Errno.EIO);
    }
  });
});
