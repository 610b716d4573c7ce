"""What strangers may take of a server: how many half-open connections, how many guesses, how many lines of its log.

Whoever fails a few times is answered later and later, and cannot try often. The right proof is always answered at
once, so that a stranger behind the same address does not keep its other users out.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from typing import Callable
from typing import Optional

MAX_PENDING = 128  # connections that have not authenticated yet
MAX_PENDING_EACH = 32  # of one address
MAX_HELD = 32  # refusals that are being delayed
MAX_HELD_EACH = 8
FREE_FAILURES = 3  # before back-off begins
FIRST_DELAY, LONGEST_DELAY = 0.25, 4.0  # seconds
TRIES_PER_SECOND = 20.0  # of an address that is in back-off
FORGET_SECONDS = 60.0  # after the last failure
MAX_ADDRESSES = 1024  # that are remembered


class _Record:
    """What is known of one address."""

    def __init__(self, now: float) -> None:
        self.pending = 0
        self.held = 0
        self.failures = 0
        self.last_failure = now
        self.tries = TRIES_PER_SECOND  # left, as of `counted`
        self.counted = now


class Admission:
    """Keeps the accounts of all addresses, for several threads.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._pending = 0
        self._held = 0

    def enter(self, host: str) -> Optional[str]:
        """Count a connection from `host` as pending until `leave`; or return why it must be closed."""
        with self._lock:
            record = self._record(host)
            if self._pending >= MAX_PENDING or record.pending >= MAX_PENDING_EACH:
                return "too many connections that have not authenticated"
            if record.failures > FREE_FAILURES and not self._may_try(record):
                return "too many failures"
            record.pending += 1
            self._pending += 1
            return None

    def leave(self, host: str) -> None:
        """Count a connection as pending no longer."""
        with self._lock:
            self._record(host).pending -= 1
            self._pending -= 1

    def failed(self, host: str) -> int:
        """Take note of a failure; return how many there were in a row."""
        with self._lock:
            record = self._record(host)
            record.failures += 1
            record.last_failure = self._clock()
            return record.failures

    def succeeded(self, host: str) -> None:
        """Forget the failures."""
        with self._lock:
            self._record(host).failures = 0

    def hold(self, host: str) -> None:
        """Make a refusal wait, twice as long each time; not when as many are waiting as may."""
        with self._lock:
            record = self._record(host)
            excess = record.failures - FREE_FAILURES
            if excess < 0 or self._held >= MAX_HELD or record.held >= MAX_HELD_EACH:
                return
            self._held += 1
            record.held += 1
        try:
            time.sleep(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(excess, 10)))
        finally:
            with self._lock:
                self._held -= 1
                record.held -= 1

    def _may_try(self, record: _Record) -> bool:
        now = self._clock()
        record.tries = min(TRIES_PER_SECOND, record.tries + (now - record.counted) * TRIES_PER_SECOND)
        record.counted = now
        if record.tries < 1:
            return False
        record.tries -= 1
        return True

    def _record(self, host: str) -> _Record:
        key, now = _network(host), self._clock()
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = _Record(now)
            self._drop_the_oldest()
        elif now - record.last_failure > FORGET_SECONDS:
            record.failures = 0
        self._records.move_to_end(key)
        return record

    def _drop_the_oldest(self) -> None:
        """Keep the table small; addresses with connections stay, of which there are few."""
        for key in list(self._records)[: len(self._records) - MAX_ADDRESSES]:
            if not self._records[key].pending and not self._records[key].held:
                del self._records[key]


def is_worth_a_line(count: int) -> bool:
    """Return whether the nth failure of an address in a row is logged: the first ones, then ever fewer."""
    return count <= 5 or count & (count - 1) == 0


def _network(host: str) -> str:
    """Return what one party is likely to have all of: an IPv4 address, an IPv6 /64."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def is_loopback(host: str) -> bool:
    """Return whether an address, as `getpeername` gives it, is of this machine's loopback."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
