"""A server that sends whatever bytes it is told, as broken and hostile ones do."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


@contextmanager
def raw_server(answer: Iterable[bytes], *, every_s: float = 0.0) -> Iterator[str]:
    """The URL of a server that answers each request with the same pieces, so many seconds apart, and hangs up."""
    pieces, is_over = list(answer), threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (piece := connection.recv(65_536)):
                head += piece
            for piece in pieces:
                connection.sendall(piece)
                if is_over.wait(every_s) if every_s else False:
                    return
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            while connection.recv(65_536):
                continue

    def accept() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join()


def document(body: bytes, *headers: bytes) -> list[bytes]:
    """An answer of one piece."""
    length = f"Content-Length: {len(body)}\r\n".encode()
    return [HEAD + length + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body]
