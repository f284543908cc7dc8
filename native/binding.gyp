{
  # The addons of the package, in plain C on Node-API: what is built runs with every later Node.
  # Built by scripts/steps/native-addons.mjs, never by npm: the file is not at the root on purpose.
  "targets": [
    {
      "target_name": "tap",
      "sources": [
        "tap.c", "frame-port.c", "port.c", "descriptor-transport.c", "vhost-transport.c", "vhost-device.c", "vring.c",
        "descriptors.c", "in-namespace.c", "pass-descriptor.c", "throw.c"
      ],
      # 8: asynchronous clean-up hooks and type tags, both of which every Node from 15 on has.
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE", "_FILE_OFFSET_BITS=64"],
      "cflags": ["-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "libraries": ["-lpthread"]
    },
    {
      "target_name": "sockets",
      "sources": [
        "sockets.c", "socket-poller.c", "busy-poll.c", "socket-calls.c", "socket-datagrams.c", "socket-address.c", "throw.c"
      ],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags": ["-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"]
    },
    {
      "target_name": "netns",
      "sources": ["netns.c", "pass-descriptor.c", "give-up.c", "throw.c"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags": ["-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"]
    },
    {
      # A program of its own: it joins user namespaces, which no process with threads may. Static, so that it runs wherever it is put.
      "target_name": "netns-helper",
      "type": "executable",
      "sources": ["netns-helper.c", "netns-configure.c", "netns-confine.c"],
      "defines": ["_GNU_SOURCE"],
      "cflags": ["-std=c11", "-Wall", "-Wextra"],
      "ldflags": ["-static"]
    }
  ]
}
