"""Which keys there are, and who fetches them when.

The newest keys that can be had count: the copy in this process, the entry in memcached that all instances share, or
what the provider says. How old keys are is always measured from when their fetch began, wherever they came from, so a
copy of a copy is not younger. A *flight* is one attempt at newer keys, in a thread of its own; a process has one at a
time, and requests wait for it within bounds, or not at all.

What memcached says is not believed but for entries with a seal. Its locks only save work: who is kept waiting in vain
by one goes to the provider without it the next time.
"""
import enum
import hashlib
import logging
import math
import threading
import time

from .budget import Budget
from .errors import InvalidToken, KeysUnavailable
from .keyset import KeySet
from .memory import DOWN
from .seal import seal, unseal

log = logging.getLogger(__name__)

# How long a request waits for a flight: where there are no keys, where its own is unknown, where they are just old.
COLD_WAIT, UNKNOWN_WAIT, OLD_WAIT = 5, 3, 2
# How long a flight waits for that of another process. A fetch takes at most twice fetch.TOTAL_SECONDS.
OTHERS_WAIT, OTHERS_PAUSE = 9, 0.05
LOCK_SECONDS = 10
# After failures a process leaves the provider alone for 2 s, 4 s, 8 s, then 10 s.
FIRST_PAUSE, LONGEST_PAUSE = 2, 10
# A provider that failed within this time is not waited for by those who have keys.
FAILED_LATELY = 60
# Fetches for unknown keys: so many at once, and then one each so many seconds; per process, and of all together.
BUDGET, BUDGET_SECONDS = 2, 10
# Clocks of instances may differ by so much.
SKEW = 60
# How often memcached is looked at while the copy is due for a newer one.
LOOK_SECONDS = 1

BUSY, FAILED_TEXT = "busy", "failed"


class Outcome(enum.Enum):
    """How a flight ended."""

    RENEWED = 1
    FAILED = 2
    NOTHING = 3


class Flight:
    """An attempt at newer keys."""

    def __init__(self):
        self.done = threading.Event()


class KeyStore:
    """The keys of one provider, for one process."""

    def __init__(self, config, provider, memory, wall=time.time, tick=time.monotonic):
        self._config = config
        self._provider = provider
        self._memory = memory
        self._wall = wall
        self._tick = tick
        self._grace = max(1, min(15, config.key_refresh / 10))
        place = "api." + hashlib.sha256(config.provider.encode("utf-8")).hexdigest()[:32]
        self._entry, self._busy = place + ".keys", place + ".busy"
        self._shared_budget = [f"{place}.unknown{number}" for number in range(BUDGET)]
        self._budget = Budget(BUDGET, BUDGET_SECONDS, tick)
        self._lock = threading.Lock()
        self._copy = None
        self._looked = -math.inf
        self._flight = None
        self._failures = 0
        self._failed = -math.inf
        self._pause_until = -math.inf
        self._heeds_lock = True

    def find(self, kid, algorithm):
        """The key, and the issuer whose it is."""
        arrived = self._wall()
        keys = self._current()
        key = keys.key(kid, algorithm)
        if key is None:
            keys = self._search(kid, algorithm, keys, arrived)
            key = keys.key(kid, algorithm)
        if key is None:
            raise InvalidToken("the key is unknown")
        return key, keys.issuer

    def prepare(self):
        """Sees to it that there are keys soon."""
        threading.Thread(target=self._prepare, daemon=True).start()

    def _prepare(self):
        try:
            self._current()
        except KeysUnavailable:
            pass

    # What there is

    def _current(self):
        keys = self._usable()
        if keys is None or self._due_for_a_look(keys):
            keys = self._look()
        if keys is None:
            self._wait(self._launch(), COLD_WAIT)
            keys = self._usable()
            if keys is None:
                raise KeysUnavailable(max(1, math.ceil(self._pause_until - self._tick())))
            return keys
        age = self._age(keys)
        if age >= self._config.key_refresh:
            flight = self._launch()
            if age >= self._config.key_refresh + self._grace and self._tick() - self._failed >= FAILED_LATELY:
                # Nobody asked for a while, so nobody fetched: such keys may have been withdrawn long ago.
                self._wait(flight, OLD_WAIT)
            keys = self._usable() or keys
        return keys

    def _search(self, kid, algorithm, keys, arrived):
        keys = self._look() or keys
        if keys.key(kid, algorithm) is None and keys.fetched < arrived:
            self._wait(self._launch(unknown=True), UNKNOWN_WAIT)
            keys = self._usable() or keys
        return keys

    def _usable(self):
        keys = self._copy
        return keys if keys is not None and self._age(keys) < self._config.key_cache else None

    def _age(self, keys):
        age = self._wall() - keys.fetched
        # The clock was set back: there is no telling, so they are fetched anew.
        return age if age >= -SKEW else self._config.key_refresh + self._grace

    def _due_for_a_look(self, keys):
        often = self._config.key_local
        if self._age(keys) >= self._config.key_refresh:
            often = min(often, LOOK_SECONDS)
        return self._tick() - self._looked >= often

    def _look(self):
        """The newer one of our copy and the entry in memcached; the other place gets it as well."""
        self._looked = self._tick()
        answer = self._memory.get(self._entry)
        if answer is not DOWN:
            found = self._opened(answer)
            with self._lock:
                if found is not None and (self._copy is None or found.fetched > self._copy.fetched):
                    self._copy = found
            keys = self._usable()
            if keys is not None and (found is None or found.fetched < keys.fetched):
                self._share(keys)
        return self._usable()

    def _opened(self, answer):
        opened = unseal(self._config.cache_key, self._entry, self._config.provider, answer)
        if opened is None:
            return None
        fetched, content = opened
        if not -SKEW <= self._wall() - fetched < self._config.key_cache:
            return None
        try:
            return KeySet(fetched, content)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def _share(self, keys):
        left = max(1, math.ceil(self._config.key_cache - self._age(keys)))
        entry = seal(self._config.cache_key, self._entry, self._config.provider, keys.fetched, keys.content)
        self._memory.set(self._entry, entry, left)

    # Flights

    def _wait(self, flight, seconds):
        if flight is not None:
            flight.done.wait(seconds)

    def _launch(self, unknown=False):
        """The flight that is under way, else a new one; none while the provider is left alone, or without a budget."""
        with self._lock:
            if self._flight is not None and not self._flight.done.is_set():
                return self._flight
            if self._tick() < self._pause_until or (unknown and not self._budget.take()):
                return None
            flight = self._flight = Flight()
            try:
                threading.Thread(target=self._fly, args=(flight, unknown), daemon=True).start()
            except RuntimeError:
                flight.done.set()
            return flight

    def _fly(self, flight, unknown):
        outcome = Outcome.FAILED
        try:
            outcome = self._renew(unknown)
        except Exception as error:
            # Of whatever kind it is: the keys that are there go on being used, and it is tried again.
            level = logging.DEBUG if self._failures else logging.WARNING
            log.log(level, "Keys cannot be fetched: %s", error or type(error).__name__)
        finally:
            with self._lock:
                if outcome is Outcome.FAILED:
                    self._failed = self._tick()
                    self._pause_until = self._failed + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 8))
                    self._failures += 1
                elif outcome is Outcome.RENEWED:
                    if self._failures:
                        log.info("Keys are fetched again")
                    self._failures, self._failed, self._heeds_lock = 0, -math.inf, True
            flight.done.set()

    def _renew(self, unknown):
        known = self._copy
        ours, outcome = self._take_lock(known, unknown)
        if outcome is not None:
            if unknown:
                self._budget.give_back()
            return outcome
        result = None
        try:
            newest = self._look()
            if _newer(newest, known) and self._age(newest) < self._config.key_refresh:
                # Another process was quicker.
                result = Outcome.RENEWED
            elif unknown and not self._may_fetch_for_unknown():
                result = Outcome.NOTHING
            if result is not None:
                if unknown:
                    self._budget.give_back()
                return result
            started = self._wall()
            keys = KeySet(started, self._provider.fetch())
            with self._lock:
                if self._copy is None or self._copy.fetched < keys.fetched or self._age(self._copy) < -SKEW:
                    self._copy = keys
            self._share(keys)
            result = Outcome.RENEWED
            return result
        finally:
            if ours is True and result is None:
                self._memory.set(self._busy, FAILED_TEXT, FIRST_PAUSE)
            elif ours is True:
                self._memory.delete(self._busy)

    def _take_lock(self, known, unknown):
        """Whether the lock is ours, or, where another process had it, what came of that."""
        while True:
            ours = self._memory.add(self._busy, BUSY, LOCK_SECONDS)
            if ours is not False or not self._heeds_lock:
                return ours, None
            outcome = self._wait_for_others(known)
            if outcome is Outcome.FAILED:
                self._heeds_lock = False
            if outcome is not Outcome.NOTHING or unknown:
                return False, outcome

    def _wait_for_others(self, known):
        until = time.monotonic() + OTHERS_WAIT
        while time.monotonic() < until:
            state = self._memory.get(self._busy)
            if _newer(self._look(), known):
                return Outcome.RENEWED
            if state is None:
                return Outcome.NOTHING
            if state != BUSY.encode():
                return Outcome.FAILED
            time.sleep(OTHERS_PAUSE)
        return Outcome.FAILED

    def _may_fetch_for_unknown(self):
        for name in self._shared_budget:
            # Each comes back after the time that all of them may be spent once in.
            if self._memory.add(name, BUSY, BUDGET * BUDGET_SECONDS) is not False:
                return True
        return False


def _newer(keys, than):
    return keys is not None and (than is None or keys.fetched > than.fetched)
