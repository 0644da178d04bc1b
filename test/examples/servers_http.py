"""How the HTTP server behaves. Run by servers.py."""
import contextlib
import re
import socket
import tempfile

from servers import PATIENCE, SLOWDOWN, Mismatch, Server, bad_arguments, client, equal, true, until

HELLO = b"hello, world\n"
MEGABYTE = 1 << 20


class Response:
    def __init__(self, wire, to="GET"):
        head = wire.take_until(b"\r\n\r\n").decode()
        line, *fields = head.split("\r\n")
        true(re.fullmatch(r"HTTP/1\.1 \d{3} [A-Z].*", line), f"status line {line!r}")
        self.status = int(line.split()[1])
        self.fields = {}
        for field in fields:
            name, colon, value = field.partition(": ")
            true(colon and name.lower() not in self.fields, f"field {field!r}")
            self.fields[name.lower()] = value
        self.closes = self.fields.get("connection") == "close"
        self.body = b""
        if self.status == 100:
            return
        true(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", self.fields["date"]),
             self.fields["date"])
        if to == "HEAD":
            return
        if self.fields.get("transfer-encoding") == "chunked":
            true("content-length" not in self.fields, "a chunked response with a length")
            while size := int(wire.take_until(b"\r\n"), 16):
                self.body += wire.take(size)
                equal(wire.take(2), b"\r\n", "behind a chunk")
            equal(wire.take(2), b"\r\n", "behind the last chunk")
        elif "content-length" in self.fields:
            self.body = wire.take(int(self.fields["content-length"]))
        else:
            true(self.closes, "a response without an end")
            self.body = wire.rest()


def get(target="/", fields="", method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: here\r\n{fields}\r\n"


def post(body, fields="", target="/echo"):
    fields += f"Content-Length: {len(body)}\r\n"
    return get(target, fields, "POST").encode() + body


def chunked(body, size, extension=b"", trailers=b""):
    text = get("/echo", "Transfer-Encoding: chunked\r\n", "POST").encode()
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        text += b"%X%s\r\n%s\r\n" % (len(piece), extension, piece)
    return text + b"0\r\n" + trailers + b"\r\n"


def ask(wire, request, method="GET"):
    wire.send(request)
    return Response(wire, method)


def stats(server):
    with server.connect() as wire:
        lines = ask(wire, get("/stats")).body.decode().splitlines()
    return {name: int(n) for name, n in (line.split() for line in lines)}


def check_arguments(program):
    """bad arguments"""
    bad_arguments(program)


def check_basics(program):
    """methods, versions, paths, keep-alive"""
    with Server(program) as server, server.connect() as wire:
        for _ in range(3):  # on one connection
            r = ask(wire, get())
            equal((r.status, r.body, r.closes), (200, HELLO, False))
        r = ask(wire, get(method="HEAD"), "HEAD")
        equal((r.status, r.fields["content-length"]), (200, "13"))
        equal(ask(wire, get("/chunked?3")).body, b"line 1\nline 2\nline 3\n")
        r = ask(wire, get("/chunked", method="HEAD"), "HEAD")
        equal((r.status, r.fields.get("transfer-encoding")), (200, "chunked"))
        equal(ask(wire, get("http://here/chunked?1")).body, b"line 1\n")
        equal(ask(wire, "\r\n" + get("/?query")).body, HELLO, "after an empty line")
        equal(ask(wire, get("/nowhere")).status, 404)
        r = ask(wire, get("/echo"))
        equal((r.status, r.fields["allow"]), (405, "POST, PUT"))
        r = ask(wire, post(b"x", target="/"))
        equal((r.status, r.fields["allow"]), (405, "GET, HEAD"))
        equal(ask(wire, get("*", method="OPTIONS")).status, 404)
        equal(ask(wire, get(method="BREW")).status, 501)
        equal(ask(wire, "CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n").status, 501)
        equal(ask(wire, get()).body, HELLO, "none of these ends the connection")
        r = ask(wire, get(fields="Connection: close\r\n"))
        equal((r.body, r.closes), (HELLO, True))
        wire.must_end()

        with server.connect() as old:
            r = ask(old, "GET / HTTP/1.0\r\n\r\n")
            equal((r.body, r.closes), (HELLO, True))
            old.must_end()
        with server.connect() as old:
            r = ask(old, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            equal((r.body, r.fields["connection"]), (HELLO, "keep-alive"))
            old.send("GET /chunked?2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            r = Response(old)
            equal((r.body, r.closes), (b"line 1\nline 2\n", True), "HTTP/1.0 knows no chunks")


def check_pipelining(program):
    """many requests in one packet"""
    with Server(program) as server, server.connect() as wire:
        bodies = [b"x" * (n * 7 % 300) for n in range(2000)]
        wire.send(b"".join(post(b) if n % 2 else chunked(b, 50) for n, b in enumerate(bodies)))
        for body in bodies:
            equal(Response(wire).body, body)
        wire.send(get() * 50)  # fits into one read of the server
        wire.fill()
        true(wire.pending.count(HELLO) >= 20, f"they do not come together: {wire.pending!r}")
        for _ in range(50):
            equal(Response(wire).body, HELLO)
        # What is behind the last request that counts is not looked at.
        wire.send(get() + get(fields="Connection: close\r\n") + get() + "nonsense")
        equal([Response(wire).closes for _ in range(2)], [False, True])
        wire.must_end()


def check_bodies(program):
    """bodies of all sizes, with a length and in chunks, in pieces of all sizes"""
    with Server(program) as server, server.connect() as wire:
        pattern = bytes(range(256)) * (MEGABYTE // 256)
        for size in (0, 1, 3000, 4096, 5000, 70_000, MEGABYTE):
            body = pattern[:size]
            equal(ask(wire, post(body, "Content-Type: a/b\r\n")).body, body)
            for piece in (1, 77, 4096, MEGABYTE):
                if size // piece < 10_000:
                    r = ask(wire, chunked(body, piece, b";a=b", b"Some: trailer\r\nmore: of them\r\n"))
                    equal((r.status, r.body), (200, body), f"{size} bytes in chunks of {piece}")
        equal(ask(wire, post(b"x", "Content-Type: a/b\r\n")).fields["content-type"], "a/b")
        for request in (post(b"hello"), chunked(b"hello", 2, trailers=b"a: b\r\n")):
            for byte in request:
                wire.send(bytes([byte]))
            equal(Response(wire).body, b"hello")


def check_expect(program):
    """Expect: 100-continue"""
    expects = "Expect: 100-continue\r\n"
    with Server(program) as server, server.connect() as wire:
        for head, body in ((get("/echo", expects + "Content-Length: 5\r\n", "POST"), "hello"),
                           (get("/echo", expects + "Transfer-Encoding: chunked\r\n", "POST"),
                            "5\r\nhello\r\n0\r\n\r\n")):
            equal(ask(wire, head).status, 100)
            equal(ask(wire, body).body, b"hello")
            equal(ask(wire, head + body).body, b"hello", "who does not wait")
        wire.send("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n" + expects + "Content-Length: 1\r\n\r\nx")
        equal(Response(wire).body, b"x")
        r = ask(wire, get("/echo", expects + f"Content-Length: {2 * MEGABYTE}\r\n", "POST"))
        equal((r.status, r.closes), (413, True), "nothing is asked for that is not wanted")
        with server.connect() as other:
            equal(ask(other, get(fields="Expect: miracles\r\n")).status, 417)


def check_refused(program):
    """what is malformed, too large, or ambiguous gets an answer, and the connection ends"""
    large = "x" * 17_000
    body = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    table = [
        (400, "nonsense\r\n\r\n"),
        (400, "GET /\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, get(fields="Host: there\r\n")),
        (400, get(fields="X: a\r\n folded\r\n")),
        (400, get(fields="Content-Length : 1\r\n")),
        (400, get().replace("\r\n", "\n")),
        (400, get("/echo", body, "POST") + "0\r\n\r\n"),
        (400, get("/echo", "Content-Length: 1\r\nContent-Length: 2\r\n", "POST") + "xx"),
        (400, get("/echo", "Content-Length: 1e3\r\n", "POST")),
        (400, get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "zz\r\n"),
        (400, get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "1\r\nxx\r\n"),
        (501, get("/echo", "Transfer-Encoding: gzip, chunked\r\n", "POST")),
        (505, "GET / HTTP/2.0\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (413, get("/echo", f"Content-Length: {MEGABYTE + 1}\r\n", "POST") + large),
        (413, get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "200000\r\n" + large),
        (414, "GET /" + large),
        (414, "GET /" + large + " HTTP/1.1\r\n\r\n"),
        (431, get(fields=f"X: {large}\r\n")),
        (431, get(fields="X: y\r\n" * 101)),
    ]
    with Server(program) as server:
        for status, request in table:
            for before in ("", get()):  # alone, and behind a good one in the same packet
                with server.connect() as wire:
                    wire.send(before + request)
                    if before:
                        equal(Response(wire).body, HELLO)
                    r = Response(wire)
                    equal((r.status, r.closes), (status, True), f"{request[:100]!r}")
                    wire.ends()
        until(lambda: stats(server)["open"] == 1, "connections stay behind")
    with Server(program, "--max-body", 10) as server, server.connect() as wire:
        equal(ask(wire, post(b"0123456789")).body, b"0123456789")
        equal(ask(wire, post(b"0123456789a")).status, 413)


def check_last_answer(program):
    """who is still sending when he is refused gets the answer, and no reset"""
    def refused():
        with server.connect() as wire:
            r = ask(wire, get("/echo", f"Content-Length: {2 * MEGABYTE}\r\n", "POST"))
            equal((r.status, r.closes), (413, True))
            for _ in range(20):
                wire.send(b"x" * 5000)
            wire.end()
            wire.must_end()

    with Server(program) as server:
        for _ in range(4):  # the server waits for half a second; once in a while, we may be slower
            with contextlib.suppress(ConnectionError):
                return refused()
        refused()


def check_deadlines(program):
    """who is silent, or slow, is not waited for"""
    with Server(program, "--idle", 0.2, "--head", 0.3, "--body", 0.3, "--write", 0.3) as server:
        with server.connect() as silent, server.connect() as idle, server.connect() as slow_head, \
                server.connect() as slow_body, server.connect() as slow_chunks:
            slow_head.send("GET / HT")
            slow_body.send(get("/echo", "Content-Length: 5\r\n", "POST") + "hel")
            slow_chunks.send(get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "5\r\nhel")
            equal(ask(idle, get()).body, HELLO)
            silent.must_end()
            idle.must_end()
            for wire in (slow_head, slow_body, slow_chunks):
                r = Response(wire)
                equal((r.status, r.closes), (408, True))
                wire.must_end()
        # One who does not read what he asks for. Many responses: no buffer of the kernel's holds them.
        with server.connect(receive_buffer=4096) as deaf:
            with contextlib.suppress(ConnectionError):
                deaf.socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    while True:
                        deaf.send(get("/chunked?10000") * 10)
            until(lambda: stats(server)["open"] == 1, "who does not read is still there")


def check_shutdown(program):
    """told to stop: idle connections end, requests in flight are answered, within limits"""
    with Server(program, "--grace", 30 * SLOWDOWN) as server:
        with server.connect() as fresh, server.connect() as idle, server.connect() as busy, \
                server.connect() as heading:
            equal(ask(idle, get()).body, HELLO)
            # These two have begun, and an answer to what came before, or in between, tells us that the server knows.
            equal(ask(busy, get("/echo", "Expect: 100-continue\r\nContent-Length: 5\r\n", "POST")).status, 100)
            equal(ask(heading, get() + "GET / HTTP/1.1\r\nHo").body, HELLO)
            server.tell_to_stop()
            fresh.must_end()
            idle.must_end()
            server.refuses()
            for wire, rest, body in ((busy, b"01234", b"01234"), (heading, b"st: here\r\n\r\n", HELLO)):
                r = ask(wire, rest)
                equal((r.status, r.body, r.closes), (200, body, True))
                wire.must_end()
        server.must_end()
    with Server(program, "--grace", 0.2) as server:
        with server.connect() as endless:
            equal(ask(endless, get() + "GET / HT").body, HELLO)
            server.tell_to_stop()
            endless.ends()
        server.must_end()


def check_connection_limit(program):
    """more connections than allowed wait for their turn"""
    with Server(program, "--max-connections", 2) as server:
        with server.connect() as one, server.connect() as two, server.connect() as three:
            equal(ask(one, get()).body, HELLO)
            equal(ask(two, get()).body, HELLO)
            three.send(get("/stats"))
            for _ in range(100):
                equal(ask(one, get()).body, HELLO)
            three.socket.settimeout(0.1)
            try:
                raise Mismatch(f"a third connection was served: {three.fill()}")
            except TimeoutError:
                three.socket.settimeout(PATIENCE)
            one.socket.close()
            text = Response(three).body
            true(b"connections 3\nopen 2\n" in text, f"{text!r}")


def check_out_of_descriptors(program):
    """EMFILE: accept waits, tries again, and recovers"""
    with Server(program, files=40) as server:
        server.expected_errors = r"(accept: Too many open files; again in \d+ ms\n)+"
        wires = [server.connect() for _ in range(60)]
        server.read_errors_until(r"(?s)again in 5 ms.*again in 10 ms.*again in 20 ms")
        for wire in wires[:20]:
            wire.socket.close()
        equal(ask(wires[38], get()).body, HELLO, "one that had to wait")
        for wire in wires[20:]:
            wire.socket.close()
        until(lambda: stats(server)["open"] == 1, "descriptors are not given back")


def check_resets(program):
    """resets in every state: the server goes on, and keeps nothing"""
    with Server(program) as server:
        before = stats(server)
        for state in ("", "GET /", get(), get("/chunked?10000") * 20, get() * 500,
                      get("/echo", "Content-Length: 100000\r\n", "POST") + "x" * 5000,
                      get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "5\r\nab"):
            for reads in (0, 10):
                for _ in range(5):
                    wire = server.connect(receive_buffer=4096)
                    wire.send(state)
                    if reads and "\r\n\r\n" in state and "POST" not in state:
                        wire.take(reads)
                    wire.reset()
        until(lambda: stats(server)["open"] == 1, "connections stay behind")
        until(lambda: stats(server)["goroutines"] == before["goroutines"], "goroutines stay behind")


def check_storm(program):
    """a thousand connections come and go"""
    with Server(program) as server:
        for _ in range(5):
            wires = [server.connect() for _ in range(200)]
            for wire in wires:
                wire.send(get())
            for wire in wires:
                equal(Response(wire).body, HELLO)
                wire.socket.close()
        until(lambda: stats(server)["open"] == 1, "connections stay behind")


def check_curl(program):
    """curl: keep-alive, uploads, chunks, HEAD, versions"""
    with Server(program) as server, tempfile.NamedTemporaryFile() as file:
        url = f"http://{server.name}"
        file.write(bytes(range(256)) * 3000)
        file.flush()
        content = open(file.name, "rb").read()
        silent = ("curl", "-sS", "--max-time", PATIENCE)
        equal(client(*silent, f"{url}/"), HELLO)
        equal(client(*silent, "-w", "%{num_connects} ", f"{url}/", f"{url}/", f"{url}/chunked?1"),
              b"hello, world\n1 hello, world\n0 line 1\n0 ", "one connection for three")
        equal(client(*silent, "--http1.0", f"{url}/chunked?2"), b"line 1\nline 2\n")
        true(client(*silent, "-I", f"{url}/").startswith(b"HTTP/1.1 200 OK\r\n"), "HEAD")
        equal(client(*silent, "-T", file.name, f"{url}/echo"), content)
        equal(client(*silent, "-H", "Expect: 100-continue", "--data-binary", f"@{file.name}",
                     f"{url}/echo"), content)
        equal(client(*silent, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{file.name}",
                     f"{url}/echo"), content)
        equal(client(*silent, "-T", "-", f"{url}/echo", feed=content), content)
        file.write(content)
        file.flush()
        equal(client(*silent, "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{file.name}",
                     f"{url}/echo"), b"413")


def check_wrk(program):
    """wrk: nothing but good responses, one by one and pipelined"""
    script = ('init = function(args) local r = {} for i = 1, 16 do r[i] = wrk.format("GET", "/") end '
              'all = table.concat(r) end request = function() return all end')
    with Server(program) as server, tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        for extra in ([], ["-s", lua.name]):
            text = client("wrk", "-t1", "-c50", "-d1s", *extra, f"http://{server.name}/").decode()
            found = re.search(r"(\d+) requests in", text)
            true(found and int(found[1]) > 100, text)
            true("Socket errors" not in text and "Non-2xx" not in text, text)
        true(socket.create_connection(server.address), "it still listens")
