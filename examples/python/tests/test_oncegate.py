"""The client against a daemon that says what each test has it say, over real sockets on loopback."""

import contextlib
import io
import json
import pathlib
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import engine  # noqa: E402
import oncegate  # noqa: E402
import paper_broker  # noqa: E402

FINGERPRINT = "ab" * 32
WORK = {
    "work_id": "w-1",
    "kind": "place",
    "fingerprint": FINGERPRINT,
    "leg": 0,
    "body": {"symbol": "NIFTY"},
    "answer_within_ms": 2000,
}
LOOK_UP = {"work_id": "w-2", "kind": "look_up", "client_order_id": "og-1", "answer_within_ms": 2000}
BEGUN = {
    "attempt_id": "a-1",
    "client_order_id": "og-1",
    "epoch": 7,
    "fingerprint": FINGERPRINT,
    "leg": 0,
    "number": 1,
    "send_within_ms": 3000,
    "answer_within_ms": 4000,
}
FINISHED = {"in_time": True, "state": None}
CUT = "the connection is cut without an answer"


def refusal(status, code):
    return status, {"error": {"code": code, "message": "for people", "pointer": None}}


class Daemon:
    """Answers each request by what comes next under its method and path; 204 to work when there is nothing more."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                path = self.path.split("?")[0]
                daemon.asked.append((self.command, self.path, json.loads(body) if body else None, dict(self.headers)))
                waiting = daemon.answers.get((self.command, path), [])
                answer = waiting.pop(0) if waiting else (204, None)
                if answer == CUT:
                    self.close_connection = True
                    return
                status, said = answer
                raw = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def says(self, method, path, *answers):
        self.answers.setdefault((method, path), []).extend(answers)

    def outcomes(self):
        return [body for method, path, body, _ in self.asked if path.endswith("/outcome")]

    def begins(self):
        return [body for method, path, body, _ in self.asked if path == "/v1/attempts"]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Case(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        self.gate = oncegate.Gate(self.daemon.url, token="secret", wait=1)
        self.now = 100.0
        self.pauses = []
        # Time passes in pauses only, so that nothing here waits.
        self.gate._monotonic = lambda: self.now
        self.gate._pause = self.pause
        self.logs = self.enterLogs()

    def enterLogs(self):
        logs = self.assertLogs("oncegate", "DEBUG")
        watcher = logs.__enter__()
        self.addCleanup(lambda: (oncegate.log.info("end"), logs.__exit__(None, None, None)))
        return watcher

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def offers(self, *items):
        self.daemon.says("GET", "/v1/work", *[(200, item) for item in items])

    def begins(self, *answers):
        self.daemon.says("POST", "/v1/attempts", *(answers or [(200, BEGUN)]))

    def hears(self, *answers):
        self.daemon.says("POST", "/v1/attempts/a-1/outcome", *(answers or [(200, FINISHED)]))

    def first(self):
        return next(self.gate.work())


class Attempts(Case):
    def test_an_order_goes_its_way(self):
        self.offers(WORK)
        self.begins()
        self.hears()
        work = self.first()
        self.assertEqual((work.fingerprint, work.leg, work.signal), (FINGERPRINT, 0, {"symbol": "NIFTY"}))
        self.assertEqual(self.daemon.begins(), [], "nothing is begun before it is asked for")
        with work.attempt() as attempt:
            self.assertEqual((attempt.client_order_id, attempt.epoch, attempt.number), ("og-1", 7, 1))
            self.assertEqual(attempt.time_left(), 3.0)
            attempt.accepted(4711)
        self.assertEqual(self.daemon.outcomes(), [{"outcome": "accepted", "broker_order_id": "4711"}])
        self.assertEqual(attempt.outcome, "accepted")
        headers = self.daemon.asked[0][3]
        self.assertEqual(headers["Authorization"], "Bearer secret")
        self.assertEqual(self.daemon.asked[0][1], "/v1/work?wait=1000ms")

    def test_leaving_without_an_outcome_is_unknown_whatever_the_way(self):
        class Interrupt(BaseException):
            pass

        for error in [None, RuntimeError("broke"), KeyboardInterrupt(), SystemExit(1), GeneratorExit(), Interrupt()]:
            self.offers(WORK)
            self.begins()
            self.hears()
            seen = None
            try:
                with self.first().attempt():
                    if error is not None:
                        raise error
            except BaseException as raised:
                seen = raised
            self.assertIs(seen, error, "what ended the block is not swallowed")
            self.assertEqual(self.daemon.outcomes()[-1]["outcome"], "unknown")
            self.assertIn(
                repr(error) if error is not None else "without an outcome", self.daemon.outcomes()[-1]["reason"]
            )

    def test_an_outcome_stays_when_the_block_fails_after_it(self):
        self.offers(WORK)
        self.begins()
        self.hears()
        with self.assertRaises(RuntimeError):
            with self.first().attempt() as attempt:
                attempt.rejected("no funds")
                raise RuntimeError("the ledger is full")
        self.assertEqual(self.daemon.outcomes(), [{"outcome": "rejected", "reason": "no funds"}])

    def test_an_acceptance_without_an_id_is_no_outcome(self):
        for nothing in ["", None, True, object()]:
            self.offers(WORK)
            self.begins()
            self.hears()
            with self.assertRaises(ValueError):
                with self.first().attempt() as attempt:
                    attempt.accepted(nothing)
            self.assertEqual(self.daemon.outcomes()[-1]["outcome"], "unknown")

    def test_what_is_not_granted_is_not_entered(self):
        for answer in [refusal(409, "work_taken"), refusal(410, "work_over"), refusal(410, "not_leading")]:
            self.offers(WORK)
            self.begins(answer)
            with self.assertRaises(oncegate.Refused) as refused:
                with self.first().attempt():
                    self.fail("entered")
            self.assertEqual(refused.exception.code, answer[1]["error"]["code"])
        self.assertEqual(self.daemon.outcomes(), [])

    def test_a_begin_whose_answer_is_lost_is_repeated_under_the_same_key(self):
        self.offers(WORK, WORK)
        self.begins(CUT, (503, None), (200, BEGUN), (200, BEGUN))
        self.hears((200, FINISHED), (200, FINISHED))
        for _ in range(2):
            with self.first().attempt() as attempt:
                attempt.accepted("b")
        keys = [begin["key"] for begin in self.daemon.begins()]
        self.assertEqual(len(set(keys[:3])), 1)
        self.assertNotEqual(keys[2], keys[3], "another begin, another key")

    def test_a_daemon_that_never_answers_a_begin_gets_no_order(self):
        self.offers(WORK)
        self.begins(*[CUT] * 50)
        with self.assertRaises(oncegate.Refused):
            with self.first().attempt():
                self.fail("entered")
        self.assertLessEqual(self.now, 102.0, "given up when the work is over")

    def test_a_begin_that_is_answered_too_late_is_not_sent(self):
        self.offers(WORK)
        self.begins()
        self.hears()
        work = self.first()
        ask = self.gate._request

        def slow(*arguments):
            answer = ask(*arguments)
            self.now += 3.0
            return answer

        self.gate._request = slow
        with self.assertRaises(oncegate.Refused):
            with work.attempt():
                self.fail("entered")
        self.assertEqual(self.daemon.outcomes()[0]["outcome"], "not_sent")

    def test_an_attempt_is_entered_once(self):
        self.offers(WORK)
        self.begins()
        self.hears()
        attempt = self.first().attempt()
        with self.assertRaises(RuntimeError):
            attempt.accepted("b")
        with attempt:
            attempt.not_sent("no route")
        with self.assertRaises(RuntimeError):
            with attempt:
                self.fail("entered twice")

    def test_more_may_be_told_after_the_block(self):
        self.offers(WORK)
        self.begins()
        self.hears((200, FINISHED), (200, FINISHED))
        with self.first().attempt() as attempt:
            pass
        attempt.accepted("b")
        self.assertEqual([outcome["outcome"] for outcome in self.daemon.outcomes()], ["unknown", "accepted"])

    def test_an_outcome_that_the_daemon_refuses_is_an_error(self):
        self.offers(WORK)
        self.begins()
        self.hears(refusal(409, "outcome_contradicts"))
        with self.assertRaises(oncegate.ApiError):
            with self.first().attempt() as attempt:
                attempt.accepted("b")


class DaemonAway(Case):
    def test_an_outcome_waits_until_the_daemon_is_back(self):
        self.offers(WORK)
        self.begins()
        self.hears(*[(503, None)] * 30)
        turns = self.gate.work()
        with next(turns).attempt() as attempt:
            attempt.accepted("b")
        self.assertEqual(self.gate.untold(), 1)
        self.daemon.answers[("POST", "/v1/attempts/a-1/outcome")] = [(503, None), CUT, (200, FINISHED)]
        self.offers(WORK)
        next(turns)
        self.assertEqual(self.gate.untold(), 0)
        self.assertTrue(all(outcome["outcome"] == "accepted" for outcome in self.daemon.outcomes()))

    def test_outcomes_are_given_up_after_a_day_and_when_refused(self):
        for answers, passes in [([refusal(410, "work_over")], 0.0), ([(503, None)], oncegate.MAX_BACKLOG_AGE + 1)]:
            self.gate._backlog.append((self.now, "a-1", {"outcome": "accepted", "broker_order_id": "b"}))
            self.now += passes
            self.hears(*answers)
            self.offers(WORK)
            self.first()
            self.assertEqual(self.gate.untold(), 0)

    def test_work_rides_out_a_daemon_that_is_away(self):
        self.daemon.says("GET", "/v1/work", CUT, (503, None), (502, b"<html>"), (200, b"[1"), (204, None), (200, WORK))
        self.assertEqual(self.first().work_id, "w-1")
        self.assertEqual(len(self.pauses), 5, "an answer that came at once is not asked for at once again")
        self.assertTrue(all(0 < pause <= oncegate.PAUSE[1] for pause in self.pauses), self.pauses)
        self.assertEqual(sum("no work for now" in line for line in self.logs.output), 1, "said once")

    def test_pauses_grow_and_stay_bounded(self):
        pauses = [self.gate._backoff(failures) for failures in range(1, 200)]
        self.assertLess(pauses[0], 0.11)
        self.assertGreater(pauses[20], 2.4)
        self.assertLessEqual(max(pauses), oncegate.PAUSE[1])

    def test_a_wrong_token_is_no_absence(self):
        self.daemon.says("GET", "/v1/work", refusal(401, "unauthorized"))
        with self.assertRaises(oncegate.ApiError) as refused:
            self.first()
        self.assertEqual((refused.exception.status, refused.exception.code), (401, "unauthorized"))
        self.assertNotIn("secret", repr(self.gate) + str(refused.exception))

    def test_an_outcome_outlives_a_wrong_token(self):
        self.offers(WORK)
        self.begins()
        self.hears(refusal(401, "unauthorized"), refusal(401, "unauthorized"), (200, FINISHED))
        turns = self.gate.work()
        with self.assertRaises(oncegate.ApiError), next(turns).attempt() as attempt:
            attempt.accepted("b")
        self.assertEqual(self.gate.untold(), 1)
        self.offers(WORK)
        self.first()
        self.assertEqual(self.gate.untold(), 1)
        self.offers(WORK)
        self.first()
        self.assertEqual(self.gate.untold(), 0)


class LookUps(Case):
    def answered(self, look_up):
        self.gate._look_up = look_up
        self.offers(LOOK_UP, WORK)
        self.daemon.says("POST", "/v1/attempts/w-2/outcome", (200, FINISHED))
        self.assertEqual(self.first().work_id, "w-1", "look-ups are answered on the way")
        return self.daemon.outcomes()[-1]

    def test_what_the_broker_says_is_told(self):
        asked = []
        self.assertEqual(
            self.answered(lambda id: asked.append(id) or "b-1"), {"outcome": "found", "broker_order_id": "b-1"}
        )
        self.assertEqual(asked, ["og-1"])
        self.assertEqual(self.answered(lambda id: None), {"outcome": "not_found"})

    def test_what_fails_is_unavailable_and_never_not_found(self):
        def fails(id):
            raise TimeoutError("no answer")

        self.assertEqual(self.answered(fails)["outcome"], "unavailable")
        self.assertEqual(self.answered(None)["outcome"], "unavailable")


class Submitting(Case):
    def test_a_signal_is_handed_in_until_it_is_durable(self):
        receipt = {"fingerprint": FINGERPRINT, "new": True, "state": "received"}
        self.daemon.says("POST", "/v1/signals", (503, None), CUT, (202, receipt))
        self.assertEqual(self.gate.submit({"id": "ü"}), oncegate.Receipt(FINGERPRINT, True, "received"))
        self.assertEqual([body for _, _, body, _ in self.daemon.asked], [{"id": "ü"}] * 3)

    def test_it_ends_when_patience_does(self):
        self.daemon.says("POST", "/v1/signals", *[(503, None)] * 100)
        with self.assertRaises(oncegate.Away):
            self.gate.submit(b'{"id":1}', patience=10)
        self.assertLessEqual(self.now, 110.0)

    def test_a_conflict_is_not_repeated(self):
        self.daemon.says("POST", "/v1/signals", refusal(409, "conflict"))
        with self.assertRaises(oncegate.ApiError):
            self.gate.submit({"id": 1})
        self.assertEqual(len(self.daemon.asked), 1)
        with self.assertRaises(ValueError):
            self.gate.submit({"price": float("nan")})


class Example(Case):
    """The example engine's reading of its broker."""

    def setUp(self):
        super().setUp()
        self.book = Daemon()
        self.addCleanup(self.book.stop)
        self.broker = engine.HttpBroker(self.book.url[len("http://") :], 2.0)

    def execute(self):
        """Works until the work is done, and returns the outcome that was told."""
        self.offers(WORK)
        self.begins()
        self.hears()
        pause = self.gate.stop
        ask = self.gate._ask_for_work
        self.gate._ask_for_work = lambda: ask() or pause()
        engine.log.disabled = True
        engine.execute(self.gate, self.broker)
        return self.daemon.outcomes()[-1]["outcome"]

    def answer(self, status, said, **members):
        self.book.says("POST", "/orders", (status, {"status": said, "client_order_id": "og-1", **members}))

    def test_a_clear_yes_is_accepted(self):
        self.answer(201, "accepted", broker_order_id="b")
        self.assertEqual(self.execute(), "accepted")
        _, _, body, headers = self.book.asked[0]
        self.assertEqual((body["client_order_id"], body["epoch"], body["signal"]), ("og-1", 7, {"symbol": "NIFTY"}))
        self.assertEqual((headers["Idempotency-Key"], headers["X-Fencing-Token"]), ("og-1", "7"))

    def test_a_clear_no_is_rejected(self):
        self.answer(422, "rejected", reason="no funds")
        self.assertEqual(self.execute(), "rejected")

    def test_anything_else_is_unknown(self):
        self.answer(500, "accepted", broker_order_id="b")
        self.assertEqual(self.execute(), "unknown")

    def test_an_answer_about_another_order_is_unknown(self):
        self.book.says("POST", "/orders", (201, {"status": "accepted", "client_order_id": "x", "broker_order_id": "b"}))
        self.assertEqual(self.execute(), "unknown")

    def test_a_connection_that_breaks_is_unknown(self):
        self.book.says("POST", "/orders", CUT)
        self.assertEqual(self.execute(), "unknown")

    def test_the_paper_broker_takes_an_order_once(self):
        book = paper_broker.Book()
        server = paper_broker.serve(book, 0)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.broker.address = f"127.0.0.1:{server.server_address[1]}"
        self.assertIsNone(self.broker.look_up("og-1"))
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(self.execute(), "accepted")
        work = oncegate.Work(self.gate, WORK, 0.0)
        again = work.attempt()
        again.client_order_id, again.epoch, again._send_by = "og-1", 8, self.now + 1
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(self.broker.place(again), "paper-1")
        self.assertEqual(self.broker.look_up("og-1"), "paper-1")
        self.assertEqual(book.orders, {"og-1": "paper-1"})

    def test_a_broker_that_refuses_connections_got_nothing(self):
        self.broker.address = "127.0.0.1:1"
        self.assertEqual(self.execute(), "not_sent")


if __name__ == "__main__":
    unittest.main()
