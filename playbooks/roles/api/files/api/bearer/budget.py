"""How often something may be done."""
import threading
import time


class Budget:
    """So many at once, then one each so many seconds."""

    def __init__(self, most, seconds, tick=time.monotonic):
        self._most = most
        self._seconds = seconds
        self._tick = tick
        self._left = most
        self._since = tick()
        self._lock = threading.Lock()

    def take(self):
        """Whether it may be done now."""
        with self._lock:
            now = self._tick()
            self._left = min(self._most, self._left + (now - self._since) / self._seconds)
            self._since = now
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def give_back(self):
        """It was not done after all."""
        with self._lock:
            self._left = min(self._most, self._left + 1)
