#!/usr/bin/env python3
"""A broker on paper that speaks oncegate's order API: takes every order, once per client order id, and places none.

    python3 paper_broker.py --port 8080

For trying things out. It lives in memory and forgets when it ends, so it must never stand in for a real broker.
"""

from __future__ import annotations

import argparse
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_ORDER_BYTES = 1 << 17


class Book:
    """All orders: the broker's id of each by its client order id."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self._lock = threading.Lock()

    def place(self, client_order_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to an order."""
        with self._lock:
            known = self.orders.get(client_order_id)
            broker_order_id = known or f"paper-{len(self.orders) + 1}"
            self.orders[client_order_id] = broker_order_id
        status, said = (200, "duplicate") if known else (201, "accepted")
        return status, {"status": said, "client_order_id": client_order_id, "broker_order_id": broker_order_id}

    def look_up(self, client_order_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a look-up."""
        known = self.orders.get(client_order_id)
        if known is None:
            return 404, {"status": "not_found", "client_order_id": client_order_id}
        return 200, {"status": "accepted", "client_order_id": client_order_id, "broker_order_id": known}


def serve(book: Book, port: int) -> ThreadingHTTPServer:
    """A server of the order API on loopback, listening; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length") or 0)
                order = json.loads(self.rfile.read(min(length, MAX_ORDER_BYTES)))
                client_order_id = order["client_order_id"]
                if self.path != "/orders" or self.headers.get("Idempotency-Key") != client_order_id:
                    raise ValueError("orders go to /orders, with their client order id as Idempotency-Key")
            except (ValueError, KeyError, TypeError) as flaw:
                self.answer(400, {"error": str(flaw)})
                return
            status, answer = book.place(client_order_id)
            print(f"{answer['status']}: {answer['broker_order_id']} {order.get('signal')}", flush=True)
            self.answer(status, answer)

        def do_GET(self) -> None:
            folder, _, name = self.path.rpartition("/")
            if folder == "/orders" and name:
                self.answer(*book.look_up(urllib.parse.unquote(name)))
            else:
                self.answer(404, {"error": f"there is no {self.path} here"})

        def answer(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Orders are told of above; the rest is noise."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Reads the command line and serves until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080, help="on loopback (%(default)s)")
    server = serve(Book(), parser.parse_args().port)
    print(f"a broker on paper at 127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
