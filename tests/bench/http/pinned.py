# What the options of every comparison do: who gets which core, and what is told meanwhile.
import sys


class Pinned:
    """For options with `pins`: (the server's core, the client's), or () when there is only one core."""
    pins = ()

    def server_pin(self, threads):
        return self.pins[0] if self.pins and threads == 1 else None

    def client_pin(self, threads):
        return self.pins[1] if self.pins and threads == 1 else None

    @staticmethod
    def say(line):
        print(line, file=sys.stderr, flush=True)
