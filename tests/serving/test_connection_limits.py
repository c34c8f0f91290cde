"""What a client may make the server hold or wait for before there is a request: heads, bodies, connections."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from qc_assets.serving.connection_limits import ConnectionLimits, limited_connections
from tests.local_app import listening

LIMITS = ConnectionLimits(connections=8, head_bytes=4_096, head_s=0.4, body_s=0.6, pipelined=16)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body; `/large` with more than any socket buffers."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = b"x" * 50_000_000 if scope["path"] == "/large" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    with listening(_echo, http=limited_connections(LIMITS), ws="none", lifespan="off") as server:
        yield server


def connect(server: uvicorn.Server, *parts: bytes) -> socket.socket:
    connection = socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=10)
    for part in parts:
        connection.sendall(part)
    return connection


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes; empty where it does so without a word."""
    data = b""
    try:
        while part := connection.recv(1 << 20):
            data += part
    except ConnectionError:
        return data
    return data


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
ENDLESS = {
    "header": [GET + b"X: ", *[b"a" * 1_000] * 300],
    "headers": [GET, *[b"X: y\r\n" * 200] * 300],
    "name": [GET, *[b"a" * 1_000] * 300],
    "url": [b"GET /", *[b"a" * 1_000] * 300],
    "at once": [GET + b"X: " + b"a" * 50_000 + b"\r\n\r\n"],
    "second request": [GET + b"\r\n" + GET + b"X: ", *[b"a" * 1_000] * 300],
    "trailer": [POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", *[b"a" * 1_000] * 300],
    "chunk extension": [POST + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 1_000] * 300],
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_head_without_an_end_is_cut_off_however_it_comes(server: uvicorn.Server, kind: str) -> None:
    connection = connect(server)
    with suppress(ConnectionError):
        for part in ENDLESS[kind]:
            connection.sendall(part)
    reply = answer(connection)  # returns once the server has closed
    assert b"200 OK" not in reply or kind == "second request", reply[:200]
    assert not reply or reply.rpartition(b"HTTP/1.1 ")[2].startswith(b"431 ") or kind == "second request"


HALVES = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": GET,
    "no body": POST + b"Content-Length: 10\r\n\r\n",
    "half a body": POST + b"Content-Length: 10\r\n\r\n12345",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12",
    "a second half": GET + b"\r\nGET / HT",
}


@pytest.mark.parametrize("kind", HALVES)
def test_what_is_half_sent_is_not_waited_for(server: uvicorn.Server, kind: str) -> None:
    reply = answer(connect(server, HALVES[kind]))  # returns once the server has closed
    assert kind == "a second half" or b"200 OK" not in reply


def test_one_byte_at_a_time_does_not_make_it_wait_longer(server: uvicorn.Server) -> None:
    connection = connect(server)
    with pytest.raises(ConnectionError):
        for byte in GET * 40:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)
        connection.recv(1)


@pytest.mark.parametrize("blank", [b"\r\n", b"\n"])
def test_blank_lines_after_an_answer_do_not_keep_a_connection(server: uvicorn.Server, blank: bytes) -> None:
    connection = connect(server, GET + b"\r\n")
    assert b"200 OK" in connection.recv(65_536)
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - began < 10:
            connection.sendall(blank)
            time.sleep(0.02)
    assert time.monotonic() - began < 10


def test_an_answer_that_nobody_takes_is_not_kept(server: uvicorn.Server) -> None:
    connection = connect(server, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    deadline = time.monotonic() + 10
    while server.server_state.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.server_state.connections
    connection.close()


def test_the_longest_waiting_give_way_to_whoever_has_something_to_say(server: uvicorn.Server) -> None:
    half = [connect(server, GET) for _ in range(40)]
    served = connect(server, POST + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc")
    assert answer(served).endswith(b"\r\n3")
    assert len(server.server_state.connections) <= LIMITS.connections + 1
    for connection in half:
        connection.close()


def test_long_bodies_keep_alive_and_pipelining_go_on_working(server: uvicorn.Server) -> None:
    length = 3_000_000
    connection = connect(server, POST + b"Content-Length: %d\r\n\r\n" % length, *[b"b" * 100_000] * 30)
    chunked = [b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 3_000, b"0\r\n\r\n"]
    connection.sendall(POST + b"".join(chunked))
    connection.sendall(GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    replies = [reply.rpartition(b"\r\n\r\n")[2] for reply in answer(connection).split(b"HTTP/1.1 200 OK")[1:]]
    assert replies == [b"3000000", b"3000", b"0", b"0"]


@pytest.mark.parametrize("request_bytes", [GET + b"\r\n", POST + b"Content-Length: 3\r\n\r\nabc"], ids=["GET", "POST"])
def test_of_endless_pipelined_requests_the_first_are_answered_and_no_more_are_read(
    server: uvicorn.Server, request_bytes: bytes
) -> None:
    connection = connect(server)
    most = LIMITS.pipelined + 1
    with suppress(ConnectionError):
        for _ in range(100):
            connection.sendall(request_bytes * 1_000)
    connection.settimeout(5)
    replies = answer(connection).split(b"HTTP/1.1 200 OK")[1:]
    assert len(replies) <= most and b"connection: close" not in b"".join(replies[:-1])
    few = connect(server, request_bytes * 9_000)
    replies = answer(few).split(b"HTTP/1.1 200 OK")[1:]
    assert len(replies) == most and b"connection: close" in replies[-1]
    whole = connect(server, request_bytes * (most - 2), GET + b"Connection: close\r\n\r\n")
    assert len(answer(whole).split(b"HTTP/1.1 200 OK")[1:]) == most - 1
