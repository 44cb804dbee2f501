"""The engine's side of oncegate: take work, place each order once, tell how it ended.

    gate = oncegate.Gate("http://127.0.0.1:7411", token=token)

    for work in gate.work():                 # waits for work, for ever; rides out a daemon that is away
        with work.attempt() as attempt:      # from here on the order counts as perhaps sent
            order = broker.place(tag=attempt.client_order_id, **work.signal)
            attempt.accepted(order.id)

Leaving the ``with`` block without an outcome, by whatever way, tells oncegate that nobody knows how it ended. Nothing
else is safe to assume: a time-out at the broker is not a refusal. Say ``rejected`` only of a refusal that the broker
made for good, and ``not_sent`` only when no byte of the order can have left.

``work.attempt()`` raises :class:`Refused` when the order is no longer this engine's to place. Then nothing may be sent,
and the next turn of the loop brings what there is to do.

Standard library only, Python 3.9 or newer. Proxies in the environment are ignored: orders go where they are told to.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import secrets
import ssl
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Optional

__all__ = ["ApiError", "Attempt", "Away", "Gate", "OncegateError", "Receipt", "Refused", "Work"]

log = logging.getLogger("oncegate")

#: The largest answer that is read, in bytes: a signal has at most 64 KiB, and there is little around it.
MAX_ANSWER_BYTES = 1 << 20
#: How many outcomes wait for a daemon that is away; the oldest are given up first.
MAX_BACKLOG = 1000
#: For how long an outcome is told again, in seconds.
MAX_BACKLOG_AGE = 24 * 3600.0
#: The shortest and the longest pause before something that failed is tried again, in seconds.
PAUSE = (0.1, 5.0)

#: Asks the broker for an order by client order id: its broker order id, or None when the broker answered that it has
#: no such order. Anything it raises means that the broker could not be asked.
LookUp = Callable[[str], Optional[str]]


class OncegateError(Exception):
    """Whatever this module raises on purpose."""


class Away(OncegateError):
    """The daemon could not be reached, or not right now; trying again later may help."""


class ApiError(OncegateError):
    """The daemon refused a request for good.

    ``status`` is the HTTP status, ``code`` the daemon's name for what is wrong, ``pointer`` where in the body it is.
    """

    def __init__(self, status: int, code: str, message: str, pointer: str | None = None) -> None:
        where = f" (at {pointer})" if pointer else ""
        super().__init__(f"{status} {code}: {message}{where}")
        self.status = status
        self.code = code
        self.pointer = pointer


class Refused(ApiError):
    """This order is not, or no longer, this engine's to place: send nothing, and ask for work again."""


@dataclass(frozen=True)
class Receipt:
    """A signal is stored durably."""

    #: Which signal it is: 64 hex digits.
    fingerprint: str
    #: It was not there before.
    new: bool
    #: Where it stands: received, executing, in_doubt, executed, failed, partial, expired or
    #: quarantined.
    state: str


class Work:
    """One order to place. It is nobody's before :meth:`attempt`."""

    def __init__(self, gate: Gate, item: Mapping[str, Any], received_at: float) -> None:
        self._gate = gate
        #: Names the work.
        self.work_id: str = str(item["work_id"])
        #: Which signal: 64 hex digits.
        self.fingerprint: str = str(item["fingerprint"])
        #: Which order of the signal, from 0.
        self.leg: int = int(item["leg"])
        #: The order: the signal as its sender wrote it; of several legs, this one.
        self.signal: dict[str, Any] = dict(item["body"])
        self._begin_by = received_at + float(item["answer_within_ms"]) / 1000

    def attempt(self) -> Attempt:
        """The attempt to place this order, for a ``with`` statement."""
        return Attempt(self)

    def __repr__(self) -> str:
        return f"<Work {self.fingerprint[:8]} leg {self.leg}>"


class Attempt:
    """The attempt to place one order, from its begin (entering the ``with`` block) to its outcome.

    Outcomes may also be told after the block, when more is known by then; what is known only grows.
    """

    #: Place the order under this id, and under no other: a repeat of it is the same order.
    client_order_id: str
    #: The fencing token, for brokers that take one.
    epoch: int
    #: Which attempt at this order, from 1.
    number: int

    def __init__(self, work: Work) -> None:
        self.work = work
        self.fingerprint = work.fingerprint
        self.leg = work.leg
        self.signal = work.signal
        self._gate = work._gate
        self._id: str | None = None
        self._send_by = float("-inf")
        self._outcome: dict[str, str] | None = None

    @property
    def outcome(self) -> str | None:
        """What was told last: accepted, rejected, not_sent or unknown; None when nothing was."""
        return self._outcome["outcome"] if self._outcome else None

    def time_left(self) -> float:
        """Seconds left in which the order may be sent; none (zero or less) when the time has passed."""
        return self._send_by - self._gate._monotonic()

    def __enter__(self) -> Attempt:
        if self._id is not None:
            raise RuntimeError("an attempt is begun once: ask the work for a new one, and see whether it is granted")
        # Drawn here and now: a process that forks, or a copy of this one, begins under a key of its own.
        begun, asked_at = self._gate._begin(self.work, secrets.token_hex(16))
        self._id = str(begun["attempt_id"])
        self.client_order_id = str(begun["client_order_id"])
        self.epoch = int(begun["epoch"])
        self.number = int(begun["number"])
        # From before the request left: it may have taken its time on the way back.
        self._send_by = asked_at + float(begun["send_within_ms"]) / 1000
        if self.time_left() <= 0:
            self.not_sent("the begin was answered after the time to send")
            raise Refused(410, "too_late", "the begin was answered after the time to send; nothing was sent")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._outcome is not None:
            return
        reason = "the engine left without an outcome" if error is None else f"the engine failed: {error!r}"
        try:
            self.unknown(reason)
        except OncegateError as refusal:
            # What ended the block matters more, and the daemon takes silence for unknown all the same.
            log.error("%s: %s", self, refusal)

    def accepted(self, broker_order_id: str | int) -> None:
        """The broker has the order, under this id of its own."""
        text = str(broker_order_id) if isinstance(broker_order_id, (str, int)) else ""
        if not text or isinstance(broker_order_id, bool):
            raise ValueError(f"the broker's order id must be text or a number, not {broker_order_id!r}")
        self._tell({"outcome": "accepted", "broker_order_id": text})

    def rejected(self, reason: str) -> None:
        """The broker refused the order for good."""
        self._tell({"outcome": "rejected", "reason": str(reason)})

    def not_sent(self, reason: str) -> None:
        """No byte of the order can have left. A time-out, or a connection that broke, proves no such thing."""
        self._tell({"outcome": "not_sent", "reason": str(reason)})

    def unknown(self, reason: str) -> None:
        """Anything else."""
        self._tell({"outcome": "unknown", "reason": str(reason)})

    def _tell(self, outcome: dict[str, str]) -> None:
        if self._id is None:
            raise RuntimeError("an attempt has an outcome only after it was begun: use it in a with statement")
        self._outcome = outcome
        self._gate._tell(self._id, outcome)

    def __repr__(self) -> str:
        return f"<Attempt {self.number} at {self.fingerprint[:8]} leg {self.leg}>"


class Gate:
    """The daemon beside this engine.

    ``url`` is where it listens; ``token`` its bearer token for role *submit*; ``wait`` how long one request for work
    waits, in seconds; ``timeout`` how long any other request may take; ``ca_file`` the certificates to trust, for
    https, where the system's don't do; ``look_up`` asks the broker for an order, see :data:`LookUp`.

    One thread works through :meth:`work`; :meth:`submit` and :meth:`stop` may be called from any.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7411",
        *,
        token: str | None = None,
        wait: float = 30.0,
        timeout: float = 2.0,
        ca_file: str | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} must be written like http://127.0.0.1:7411")
        if not 0 < wait <= 60 or timeout <= 0:
            raise ValueError("wait must be more than 0 and at most 60 seconds, and timeout more than 0")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._token = token
        self._wait = wait
        self._timeout = timeout
        self._look_up = look_up
        self._stopped = threading.Event()
        self._backlog: deque[tuple[float, str, dict[str, str]]] = deque(maxlen=MAX_BACKLOG)
        self._backlog_lock = threading.Lock()
        self._random = random.Random(secrets.randbits(64))
        # For tests, which have time of their own.
        self._monotonic: Callable[[], float] = time.monotonic
        self._pause: Callable[[float], object] = time.sleep

    def __repr__(self) -> str:
        return f"<Gate {self._host}:{self._port or ''}>"

    # ---- what engines use

    def work(self) -> Iterator[Work]:
        """Orders to place, one after another, until :meth:`stop`.

        Waits while there is none, and while the daemon is away. Look-ups are answered on the way, and outcomes that the
        daemon could not be told yet are told. Raises :class:`ApiError` when the daemon refuses the very question: a
        wrong token, a daemon without a desk.
        """
        failures = 0
        while not self._stopped.is_set():
            try:
                self._tell_backlog()
                asked_at = self._monotonic()
                item = self._ask_for_work()
            except Away as away:
                failures += 1
                if failures == 1:
                    log.warning("no work for now: %s", away)
                self._pause(self._backoff(failures))
                continue
            if failures:
                log.info("the daemon is back")
                failures = 0
            received_at = self._monotonic()
            if item is None:
                if received_at - asked_at < PAUSE[0]:
                    # A daemon that ends lets go of those who wait: no reason to ask it in a circle.
                    self._pause(PAUSE[0])
                continue
            if item.get("kind") == "look_up":
                self._answer_look_up(item)
            elif item.get("kind") == "place":
                yield Work(self, item, received_at)
            else:
                log.error("work of a kind that this engine does not know, left alone: %r", item.get("kind"))
                self._pause(PAUSE[1])
        try:
            self._tell_backlog()
        except Away as away:
            log.error("%d outcomes end with this process, untold: %s", self.untold(), away)

    def stop(self) -> None:
        """Ends :meth:`work` at its next turn, which a request for work under way may delay by its ``wait``."""
        self._stopped.set()

    def submit(self, signal: Mapping[str, Any] | bytes, *, patience: float = 30.0) -> Receipt:
        """Hands a signal in, again and again for ``patience`` seconds until the daemon has it durably.

        Harmless to repeat: the same signal is one signal. Raises :class:`ApiError` when the daemon will never take it
        (malformed, or another body of the same identity), and :class:`Away` when it is unknown whether it did.
        """
        if isinstance(signal, bytes):
            body = signal
        else:
            body = json.dumps(dict(signal), allow_nan=False, ensure_ascii=False).encode()
        answer, _ = self._insist("POST", "/v1/signals", body, self._monotonic() + patience)
        return Receipt(str(answer["fingerprint"]), bool(answer["new"]), str(answer["state"]))

    def untold(self) -> int:
        """How many outcomes the daemon could not be told yet."""
        return len(self._backlog)

    # ---- what works and attempts use

    def _begin(self, work: Work, key: str) -> tuple[dict[str, Any], float]:
        """The answer to a begin, and when it was asked for."""
        body = json.dumps({"work_id": work.work_id, "key": key}).encode()
        try:
            return self._insist("POST", "/v1/attempts", body, work._begin_by)
        except ApiError as error:
            if error.status in (409, 410):
                raise Refused(error.status, error.code, str(error), error.pointer) from error
            raise
        except Away as away:
            # Never learned the order id, so nothing was sent; the daemon, if it began it, takes it as unknown.
            raise Refused(503, "away", f"the daemon could not be told of the begin: {away}") from away

    def _tell(self, attempt_id: str, outcome: dict[str, str]) -> None:
        """Tells an outcome now, or puts it by for :meth:`work` to tell."""
        body = json.dumps(outcome).encode()
        try:
            self._insist("POST", _outcome_path(attempt_id), body, self._monotonic() + self._timeout)
        except (Away, ApiError) as error:
            if _is_final(error):
                raise
            log.warning("outcome %s of %s waits until the daemon takes it: %s", outcome, attempt_id, error)
            with self._backlog_lock:
                if len(self._backlog) == MAX_BACKLOG:
                    log.error("outcome %r is given up: too many wait", self._backlog[0])
                self._backlog.append((self._monotonic(), attempt_id, outcome))
            if isinstance(error, ApiError):
                raise

    def _tell_backlog(self) -> None:
        """Tells what waits, oldest first, up to the first that is not taken; raises :class:`Away` if that is why."""
        while True:
            with self._backlog_lock:
                if not self._backlog:
                    return
                since, attempt_id, outcome = entry = self._backlog[0]
            try:
                self._request("POST", _outcome_path(attempt_id), json.dumps(outcome).encode(), self._timeout)
            except (Away, ApiError) as error:
                is_old = self._monotonic() - since > MAX_BACKLOG_AGE
                if not _is_final(error) and not is_old:
                    if isinstance(error, Away):
                        raise
                    # A wrong token, or a daemon without a desk: the question for work says so, aloud.
                    log.warning("outcome %s of %s is not taken: %s", outcome, attempt_id, error)
                    return
                log.error("outcome %s of %s is given up: %s", outcome, attempt_id, error)
            with self._backlog_lock:
                if self._backlog and self._backlog[0] is entry:
                    self._backlog.popleft()

    def _ask_for_work(self) -> dict[str, Any] | None:
        wait_ms = round(self._wait * 1000)
        answer = self._request("GET", f"/v1/work?wait={wait_ms}ms", None, self._wait + self._timeout)
        return answer or None

    def _answer_look_up(self, item: Mapping[str, Any]) -> None:
        answer: dict[str, str]
        try:
            if self._look_up is None:
                raise NotImplementedError("this engine has no look-up")
            found = self._look_up(str(item["client_order_id"]))
            if found is None:
                answer = {"outcome": "not_found"}
            else:
                answer = {"outcome": "found", "broker_order_id": str(found)}
        except Exception as error:  # Whatever it was, the broker could not be asked.
            log.warning("look-up of %s: %r", item.get("client_order_id"), error)
            answer = {"outcome": "unavailable", "reason": repr(error)}
        try:
            self._request("POST", _outcome_path(str(item["work_id"])), json.dumps(answer).encode(), self._timeout)
        except (ApiError, Away) as error:
            # The daemon asks again when it still wants to know.
            log.warning("the answer to a look-up was not taken: %s", error)

    # ---- the wire

    def _insist(self, method: str, path: str, body: bytes, until: float) -> tuple[dict[str, Any], float]:
        """Repeats a request that may be repeated, for as long as the daemon is away and there is time."""
        failures = 0
        while True:
            asked_at = self._monotonic()
            left = until - asked_at
            try:
                return self._request(method, path, body, min(self._timeout, max(left, 0.05))), asked_at
            except Away:
                failures += 1
                pause = self._backoff(failures)
                if self._monotonic() + pause >= until:
                    raise
                self._pause(pause)

    def _backoff(self, failures: int) -> float:
        """Doubled each time, and never the same for two engines."""
        longest = min(PAUSE[0] * 2 ** min(failures - 1, 16), PAUSE[1])
        return float(longest * self._random.uniform(0.5, 1.0))

    def _request(self, method: str, path: str, body: bytes | None, timeout: float) -> dict[str, Any]:
        """One request on a connection of its own; the answer's object, empty for 204."""
        connection = self._connection(timeout)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            status, raw = response.status, response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if status == 204:
            return {}
        answer = _object(raw)
        if 200 <= status < 300 and answer is not None:
            return answer
        if status in (408, 425, 429) or status >= 500 or 200 <= status < 300:
            raise Away(f"{method} {path}: {status} {raw[:200]!r}")
        told = (answer or {}).get("error")
        told = told if isinstance(told, dict) else {}
        message = str(told.get("message") or raw[:200])
        raise ApiError(status, str(told.get("code") or "refused"), message, told.get("pointer"))

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)


def _is_final(error: OncegateError) -> bool:
    """Whether the daemon has spoken on this very outcome, and will say the same again."""
    return isinstance(error, ApiError) and (error.status in (409, 410, 422) or error.code == "no_such_attempt")


def _outcome_path(attempt_id: str) -> str:
    return f"/v1/attempts/{urllib.parse.quote(attempt_id, safe='')}/outcome"


def _object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object that an answer is, whole; None when it is none."""
    if len(raw) > MAX_ANSWER_BYTES:
        return None
    try:
        answer = json.loads(raw)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
