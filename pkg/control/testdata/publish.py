"""Speaks the control protocol as docs/protocol.md describes it. Usage: publish.py SOCKET

The Go test beside it runs this script against a real server and then looks at what was published.
"""

import socket
import struct
import sys

import msgpack


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(path)

    def frame(self, *message):
        payload = msgpack.packb(message)
        self.sock.sendall(struct.pack(">I", len(payload)) + payload)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise EOFError(f"{len(data)} of {n} bytes")
            data += part
        return data

    def read(self):
        (n,) = struct.unpack(">I", self.exactly(4))
        return msgpack.unpackb(self.exactly(n))

    def hello(self):
        self.sock.sendall(b"HFST")
        self.frame(1, {"version": 1, "program": "publish.py", "role": "control", "unknown key": [1, {"a": None}]})
        equal(self.exactly(4), b"HFST")
        kind, theirs = self.read()
        equal(kind, 1)
        return theirs

    def acks(self, n):
        acks = {}
        while len(acks) < n:
            kind, batch = self.read()
            equal(kind, 18)
            for ack in batch:
                assert ack[0] not in acks, f"two acks for {ack[0]}"
                acks[ack[0]] = ack[1:]
        return acks


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def publishing(c):
    c.frame(16, 1, 0, ["first", [[2, 0, "text\n"]]])
    equal(c.acks(1), {1: [True, 0]})

    everything = ["second", [
        [1, 0, b"\x00\xff", 404, "Gone", ["X-A", "1"], "", ["f"]],
        [2, 0, b"raw", ["f"], "an unknown element"],
        [3, 2, None, 0, 4001, "bye"],
        [4, 0, "data", "up", "9", 3000],
    ], "8", "7", "e1", 1, 120, {"sender": "bob"}, "an unknown element", {"of": ["any", "kind"]}]
    c.frame(16, 2**64 - 1, 1, everything, "an unknown element")
    equal(c.acks(1), {2**64 - 1: [True, 0]})

    batch = [
        ["third", [[2, 0, "x"]]],
        ["", [[2, 0, "x"]]],           # no channel name
        ["c", [[99, 0, "x"]]],         # an unknown format
        ["c", [[2, 0, 5]]],            # content of the wrong type
        ["c", [[2, 0, "x" * 100001]]],  # more than max_message
        "no item",
        None,
        ["fourth", [[2, 0, "x"]], None, None, None, 0, None, None],
    ]
    c.frame(17, 100, 0, batch)
    acks = c.acks(len(batch))
    equal({i: a[0] for i, a in acks.items()}, {100 + i: i in (0, 7) for i in range(len(batch))})
    equal({i: a[2] for i, a in acks.items() if not a[0]}, {101: 6, 102: 6, 103: 6, 104: 7, 105: 6, 106: 6})

    n = 20000
    for i in range(n):
        c.frame(16, 1000 + i, 0, ["many", [[2, 0, "x"]]])
        if i % 1000 == 999:  # go on reading acks
            c.acks(1000)


def asking(c):
    c.frame(3, {"id": 9})
    equal(c.read(), [4, {"id": 9}])

    c.frame(32, {"id": 7})
    kind, answer = c.read()
    equal((kind, answer["id"], answer["snapshot"]["published"]), (34, 7, 42))

    c.frame(33, {"id": 8, "interval_ms": 10})
    for _ in range(3):
        kind, answer = c.read()
        equal((kind, answer["id"], answer["snapshot"]["closed"]), (34, 8, {"client": 1}))
    c.frame(33, {"id": 8, "interval_ms": 0})
    c.frame(3, {"id": 10})
    kind, answer = c.read()
    while kind == 34:
        kind, answer = c.read()
    equal((kind, answer), (4, {"id": 10}))

    c.frame(33, {"id": 11, "interval_ms": -5})
    kind, error = c.read()
    equal((kind, error["code"], error["id"], error.get("fatal", False)), (2, 12, 11, False))

    c.frame(77, {"id": 12})
    kind, error = c.read()
    equal((kind, error["code"], error["id"], error.get("fatal", False)), (2, 5, 12, False))


def failing(path):
    c = Client(path)
    c.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    equal(c.exactly(4), b"HFST")
    kind, error = c.read()
    equal((kind, error["code"], error["fatal"]), (2, 3, True))

    c = Client(path)
    theirs = c.hello()
    c.sock.sendall(struct.pack(">I", theirs["max_frame"] + 1))
    kind, error = c.read()
    equal((kind, error["code"], error["fatal"]), (2, 2, True))

    c = Client(path)
    c.hello()
    c.frame(16, 1, 0, ["last", [[2, 0, "x"]]])
    c.sock.shutdown(socket.SHUT_WR)
    equal(c.acks(1), {1: [True, 0]})
    equal(c.sock.recv(1), b"")


def main(path):
    c = Client(path)
    theirs = c.hello()
    equal((theirs["version"], theirs["max_frame"], theirs["max_message"]), (1, 1 << 20, 100000))
    equal(theirs["features"], ["publish", "stats"])
    assert theirs["pid"] > 0 and theirs["program"], theirs
    publishing(c)
    asking(c)
    failing(path)


main(sys.argv[1])
