"""Lets websockify's clients name their target in the URL: ?token=HOST:PORT, an IPv6 address in brackets."""


class AnyTarget:
    def __init__(self, source):
        self.source = source

    def lookup(self, token):
        host, _, port = token.rpartition(":")
        return host.strip("[]"), port
