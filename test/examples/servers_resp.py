"""How the key-value server behaves. Run by servers.py."""
import re
import socket
import time

from servers import PATIENCE, SLOWDOWN, Server, bad_arguments, client, equal, true, until


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def reply(wire):
    """One reply: an int, bytes, None, a list, or the text of a status or error with its mark."""
    line = wire.take_until(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if rest == b"-1":
            return None
        data = wire.take(int(rest) + 2)
        equal(data[-2:], b"\r\n", "behind a bulk string")
        return data[:-2]
    if kind == b"*":
        return [reply(wire) for _ in range(int(rest))]
    return line.decode()


def ask(wire, *words):
    wire.send(command(*words))
    return reply(wire)


def check_arguments(program):
    """bad arguments"""
    bad_arguments(program)


def check_commands(program):
    """every command, and Redis's words for what is wrong"""
    integer = "-ERR value is not an integer or out of range"

    def arity(name):
        return f"-ERR wrong number of arguments for '{name}' command"

    binary = bytes(range(256))
    table = [
        (("PING",), "+PONG"), (("ping", "a b"), b"a b"), (("PING", 1, 2), arity("ping")), (("ECHO", "a"), b"a"),
        (("GET", "k"), None), (("SET", "k", "v"), "+OK"), (("get", "k"), b"v"),
        (("GET",), arity("get")), (("gEt", "a", "b"), arity("get")),
        (("SET", "k"), arity("set")), (("SET", binary, binary), "+OK"), (("GET", binary), binary),
        (("SET", "k", "2", "NX"), None), (("SET", "new", "2", "XX"), None), (("GET", "k"), b"v"),
        (("SET", "k", "3", "xx"), "+OK"), (("SET", "new", "4", "nx"), "+OK"), (("GET", "k"), b"3"),
        (("MGET", "k", "nope", "new"), [b"3", None, b"4"]), (("MGET",), arity("mget")),
        (("DEL", "k", "nope", "new", "k"), 2), (("DEL",), arity("del")), (("GET", "k"), None),
        (("INCR", "n"), 1), (("INCR", "n"), 2), (("GET", "n"), b"2"), (("INCR",), arity("incr")),
        (("SET", "n", "9223372036854775807"), "+OK"),
        (("INCR", "n"), "-ERR increment or decrement would overflow"),
        (("SET", "n", "-9223372036854775808"), "+OK"), (("INCR", "n"), -9223372036854775807),
        (("SET", "n", " 1"), "+OK"), (("INCR", "n"), integer), (("SET", "n", ""), "+OK"),
        (("INCR", "n"), integer), (("INCR", binary), integer),
        (("TTL", "n"), -1), (("TTL", "nope"), -2), (("TTL",), arity("ttl")),
        (("EXPIRE", "n", 100), 1), (("TTL", "n"), 100), (("EXPIRE", "nope", 100), 0),
        (("EXPIRE", "n", "soon"), integer), (("EXPIRE", "n"), arity("expire")),
        (("EXPIRE", "n", "9223372036854775807"), "-ERR invalid expire time in 'expire' command"),
        (("SET", "n", "1", "EX", 1000), "+OK"), (("TTL", "n"), 1000), (("INCR", "n"), 2),
        (("TTL", "n"), 1000), (("SET", "n", "1"), "+OK"), (("TTL", "n"), -1),
        (("SET", "n", "1", "PX", 5000), "+OK"), (("TTL", "n"), 5), (("EXPIRE", "n", -1), 1),
        (("GET", "n"), None),
        (("SET", "n", "1", "EX"), "-ERR syntax error"), (("SET", "n", "1", "EX", "1", "PX", "1"), "-ERR syntax error"),
        (("SET", "n", "1", "NX", "XX"), "-ERR syntax error"), (("SET", "n", "1", "YX"), "-ERR syntax error"),
        (("SET", "n", "1", "EX", "x"), integer),
        (("SET", "n", "1", "EX", 0), "-ERR invalid expire time in 'set' command"),
        (("SET", "n", "1", "PX", -5), "-ERR invalid expire time in 'set' command"),
        (("DBSIZE",), 1), (("COMMAND",), []), (("COMMAND", "DOCS"), []), (("CONFIG", "GET", "save"), []),
        (("CONFIG", "SET", "a", "b"), "-ERR unknown subcommand 'SET'"),
        (("FOO", "a\r\nb", 1), "-ERR unknown command 'FOO', with args beginning with: 'a  b' '1' "),
        (("",), "-ERR unknown command '', with args beginning with: "),
        (("QUIT",), "+OK"),
    ]
    with Server(program) as server:
        with server.connect() as wire:
            for words, answer in table:
                equal(ask(wire, *words), answer, f"{words}")
            wire.must_end()
        with server.connect() as wire:  # all in one packet
            wire.send(b"".join(command(*words) for words, _ in table))
            for words, answer in table:
                if words[0] != "SET" or answer != "+OK":
                    reply(wire)
                else:
                    equal(reply(wire), answer, f"{words}, pipelined")
            wire.must_end()


def check_inline(program):
    """commands as lines, in pieces; empty ones"""
    with Server(program) as server, server.connect() as wire:
        wire.send("PING\r\n\r\n*0\r\n*-1\r\nset a  b\nGET a\r\n")
        equal([reply(wire) for _ in range(3)], ["+PONG", "+OK", b"b"])
        for byte in command("GET", "a") + b"get a\r\n":
            wire.send(bytes([byte]))
        equal([reply(wire) for _ in range(2)], [b"b", b"b"])


def check_pipelining(program):
    """replies to what came together leave together"""
    with Server(program) as server, server.connect() as wire:
        wire.send(command("PING") * 100)
        wire.fill()
        true(wire.pending.count(b"+PONG") >= 50, f"they do not come together: {wire.pending!r}")
        for _ in range(100):
            equal(reply(wire), "+PONG")
        many = 20_000
        wire.send(b"".join(command("SET", f"k{n}", n) for n in range(many)))
        for _ in range(many):
            equal(reply(wire), "+OK")
        equal(ask(wire, "MGET", *(f"k{n}" for n in range(many))), [b"%d" % n for n in range(many)])
        equal(ask(wire, "DEL", *(f"k{n}" for n in range(many))), many)
        equal(ask(wire, "DBSIZE"), 0)


def check_large(program):
    """large values, and many of them at once"""
    with Server(program) as server, server.connect() as wire:
        value = bytes(range(256)) * 40_000  # 10 MB
        equal(ask(wire, "SET", "large", value), "+OK")
        equal(ask(wire, "GET", "large"), value)
        equal(ask(wire, "MGET", "large", "large", "large"), [value] * 3)


def check_protocol_errors(program):
    """one error, and the connection ends"""
    table = [
        (b"*x\r\n", "invalid multibulk length"), (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"), (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$101\r\n", "invalid bulk length"), (b"x" * 70_000, "too big inline request"),
    ]
    with Server(program, "--max-bulk", 100) as server:
        for request, error in table:
            with server.connect() as wire:
                wire.send(command("PING") + request)
                equal([reply(wire), reply(wire)], ["+PONG", f"-ERR Protocol error: {error}"], f"{request[:50]}")
                wire.ends()


def check_expiry(program):
    """keys expire by themselves, asked for or not"""
    with Server(program) as server, server.connect() as wire:
        began = time.monotonic()
        equal(ask(wire, "SET", "k", "v", "PX", 300), "+OK")
        until(lambda: ask(wire, "GET", "k") is None, "it does not expire")
        true(time.monotonic() - began >= 0.3, "it expires too early")
        for n in range(1000):
            wire.send(command("SET", f"k{n}", "v", "PX", 1 + n % 100))
        for n in range(1000):
            equal(reply(wire), "+OK")
        until(lambda: ask(wire, "DBSIZE") == 0, "nobody sweeps")


def check_many_clients(program):
    """INCR by many at once: none is lost"""
    with Server(program) as server:
        wires = [server.connect() for _ in range(50)]
        for _ in range(20):
            for wire in wires:
                wire.send(command("INCR", "n") * 10)
        seen = sorted(reply(wire) for wire in wires for _ in range(200))
        equal(seen, list(range(1, 10_001)))


def check_idle_and_shutdown(program):
    """who is silent is not waited for; told to stop, the server finishes what has begun"""
    with Server(program, "--idle", 0.2) as server, server.connect() as idle, server.connect() as slow:
        slow.send(command("PING") + b"*1\r\n$4\r\nPI")
        idle.must_end()
        equal(reply(slow), "+PONG")
        slow.must_end()
    with Server(program, "--grace", 30 * SLOWDOWN) as server, server.connect() as idle, \
            server.connect() as busy:
        busy.send(command("PING") + command("PING")[:-3])
        equal(reply(busy), "+PONG")  # so the beginning of the second one has been read, too
        server.tell_to_stop()
        idle.must_end()
        server.refuses()
        busy.send(command("PING")[-3:])
        equal(reply(busy), "+PONG")
        busy.must_end()
        server.must_end()


def check_resets(program):
    """resets in every state"""
    with Server(program) as server:
        with server.connect() as wire:
            equal(ask(wire, "SET", "large", "x" * 1_000_000), "+OK")
        for state in (b"", b"*2\r\n$3", command("GET", "large") * 20, command("PING") * 1000):
            for _ in range(5):
                wire = server.connect(receive_buffer=4096)
                wire.send(state)
                wire.reset()
        with server.connect() as wire:
            equal(ask(wire, "PING"), "+PONG")


def check_redis_cli(program):
    """redis-cli"""
    with Server(program) as server:
        def cli(*arguments, feed=None):
            return client("redis-cli", "-p", server.port, *arguments, feed=feed).decode()
        equal(cli("SET", "greeting", "hello world", "EX", "100"), "OK\n")
        equal(cli("GET", "greeting"), "hello world\n")
        equal(cli("TTL", "greeting"), "100\n")
        equal(cli("GET", "nope"), "\n")
        equal(cli("INCR", "n"), "1\n")
        equal(cli("MGET", "greeting", "nope", "n"), "hello world\n\n1\n")
        true(cli("GET").startswith("ERR wrong number of arguments for 'get' command"), "its error")
        equal(cli(feed=b"SET a 1\nINCR a\nDEL a n greeting\nDBSIZE\n"), "OK\n2\n3\n0\n")
        text = cli("--pipe", feed=b"".join(command("SET", f"k{n}", n) for n in range(5000)))
        true("errors: 0, replies: 5000" in text, text)


def check_redis_benchmark(program):
    """redis-benchmark: runs to its end, one by one and pipelined"""
    with Server(program) as server:
        for extra in ([], ["-P", "16"]):
            text = client("redis-benchmark", "-p", server.port, "-q", "-n", 20_000, "-c", 50, *extra,
                          "-t", "ping,set,get,incr").decode().replace("\r", "\n")
            for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"):
                true(re.search(rf"^ *{name}: \d+\.\d+ requests per second", text, re.MULTILINE), text)
        true(socket.create_connection(server.address, PATIENCE), "it still listens")
