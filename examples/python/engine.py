#!/usr/bin/env python3
"""An example engine: takes orders from oncegate and places them at a broker that speaks oncegate's order API.

    python3 engine.py --gate http://127.0.0.1:7411 --broker 127.0.0.1:8080

Replace :class:`HttpBroker` by your broker's SDK; the rest stays. What matters is which of its answers prove something:
only a clear yes is *accepted*, only a clear no is *rejected*, and only what failed before the first byte left is
*not sent*. Everything else leaves the ``with`` block without an outcome, which means unknown.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import urllib.parse
from typing import Any

import oncegate

log = logging.getLogger("engine")


class Rejection(Exception):
    """The broker refused the order for good."""


class NotSent(Exception):
    """No byte of the order has left."""


class HttpBroker:
    """A client of the order API. One connection per request: none is ever found dead halfway through an order."""

    def __init__(self, address: str, timeout: float) -> None:
        self.address = address
        self.timeout = timeout

    def place(self, attempt: oncegate.Attempt) -> str:
        """Places one order; returns the broker's id of it."""
        body = json.dumps(
            {
                "client_order_id": attempt.client_order_id,
                "fingerprint": attempt.fingerprint,
                "leg": attempt.leg,
                "epoch": attempt.epoch,
                "signal": attempt.signal,
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": attempt.client_order_id,
            "X-Fencing-Token": str(attempt.epoch),
        }
        connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
        try:
            connection.connect()
        except OSError as error:
            raise NotSent(f"connecting to {self.address}: {error}") from error
        # Connecting may have taken its time.
        if attempt.time_left() <= 0:
            connection.close()
            raise NotSent("the time to send ran out while connecting")
        status, answer = self._exchange(connection, "POST", "/orders", body, headers)
        self._is_about(attempt.client_order_id, answer)
        said = (status, answer.get("status"))
        if said in ((201, "accepted"), (200, "duplicate"), (409, "duplicate")):
            return str(answer["broker_order_id"])
        if said == (422, "rejected"):
            raise Rejection(str(answer.get("reason")))
        raise RuntimeError(f"the broker's answer proves nothing: {status} {answer}")

    def look_up(self, client_order_id: str) -> str | None:
        """The broker's id of an order, or None when the broker says that it has none."""
        connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
        path = "/orders/" + urllib.parse.quote(client_order_id, safe="")
        status, answer = self._exchange(connection, "GET", path, None, {})
        self._is_about(client_order_id, answer)
        said = (status, answer.get("status"))
        if said == (200, "accepted"):
            return str(answer["broker_order_id"])
        if said == (404, "not_found"):
            return None
        raise RuntimeError(f"the broker's answer proves nothing: {status} {answer}")

    @staticmethod
    def _exchange(
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[int, dict[str, Any]]:
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read(1 << 16))
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise RuntimeError(f"the broker's answer is no object: {answer!r}")
        return response.status, answer

    @staticmethod
    def _is_about(client_order_id: str, answer: dict[str, Any]) -> None:
        if answer.get("client_order_id") != client_order_id:
            raise RuntimeError(f"the broker's answer is about another order: {answer}")


def execute(gate: oncegate.Gate, broker: HttpBroker) -> None:
    """Works until the gate is stopped."""
    for work in gate.work():
        try:
            with work.attempt() as attempt:
                try:
                    order_id = broker.place(attempt)
                except Rejection as rejection:
                    attempt.rejected(str(rejection))
                except NotSent as failure:
                    attempt.not_sent(str(failure))
                else:
                    attempt.accepted(order_id)
        except oncegate.Refused as refused:
            log.info("%s is not ours to place: %s", work, refused)
        except Exception:
            # The attempt was told as unknown; oncegate finds out at the broker, or asks a human.
            log.exception("%s is in doubt", work)


def main() -> None:
    """Reads the command line and works for ever."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", default="http://127.0.0.1:7411", help="where oncegate listens (%(default)s)")
    parser.add_argument("--broker", required=True, help="the broker's order API, host:port")
    parser.add_argument("--broker-timeout", type=float, default=2.0, help="seconds for one exchange (%(default)s)")
    parser.add_argument("--token-env", help="the environment variable that has the token for role submit")
    parser.add_argument(
        "--wait", type=float, default=30.0, help="seconds that one request for work waits (%(default)s)"
    )
    parser.add_argument("--no-look-up", action="store_true", help="the broker can't be asked for an order")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    broker = HttpBroker(options.broker, options.broker_timeout)
    gate = oncegate.Gate(
        options.gate,
        token=os.environ[options.token_env] if options.token_env else None,
        wait=options.wait,
        look_up=None if options.no_look_up else broker.look_up,
    )
    execute(gate, broker)


if __name__ == "__main__":
    main()
