"""The example engine, killed without a word where DIE_AT says. Its first argument is the folder of the examples."""

import os
import signal
import sys

sys.path.insert(0, sys.argv.pop(1))
sys.dont_write_bytecode = True

import engine  # noqa: E402
import oncegate  # noqa: E402


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


place = engine.HttpBroker.place


def place_and_die(self, attempt):
    place(self, attempt)
    die()


point = os.environ["DIE_AT"]
if point == "before_begin":
    oncegate.Attempt.__enter__ = die
elif point == "after_begin":
    engine.HttpBroker.place = die
elif point == "after_order":
    engine.HttpBroker.place = place_and_die
else:
    sys.exit(f"no such point: {point}")

engine.main()
