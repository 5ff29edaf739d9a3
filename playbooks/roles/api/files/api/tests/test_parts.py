"""The parts by themselves: the fetch, the settings, and memcached where it is installed."""
import dataclasses
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
import unittest.mock

from django.conf import settings
from django.test import SimpleTestCase

from api.config import Config, ConfigError
from bearer import fetch, memory
from bearer.memory import DOWN, Memory

from .support import LoopbackProvider, Stage, trust


class Fetch(SimpleTestCase):
    def setUp(self):
        self.provider = LoopbackProvider()
        self.addCleanup(self.provider.close)
        self.place = self.provider.url.partition("/tenant")[0]

    def get(self, path, **options):
        return fetch.document(self.place + path, options.get("context", trust()))

    def test_what_is_refused(self):
        self.provider.pages = {
            "/redirect": (302, {"Location": self.provider.url + "/.well-known/openid-configuration"}, b"{}"),
            "/large": (200, {}, b"{}" + b" " * fetch.LARGEST),
            "/list": (200, {}, b"[]"), "/nested": (200, {}, b"[" * 100000), "/text": (200, {}, b"\xff"),
            "/empty": (200, {}, b""), "/none": (204, {}, b""),
        }
        for path in [*self.provider.pages, "/nothing"]:
            with self.assertRaises(fetch.FetchError, msg=path):
                self.get(path)
        self.provider.pages["/good"] = (200, {}, b'{"a": 1}')
        self.assertEqual(self.get("/good"), {"a": 1})

    def test_only_https_that_the_system_trusts(self):
        for url in ("http://127.0.0.1/x", "file:///etc/passwd", "ftp://x/y", "https://", "https://u:p@127.0.0.1/", "x"):
            with self.assertRaises(fetch.FetchError):
                fetch.document(url)
        with self.assertRaises(fetch.FetchError):
            self.get("/good", context=ssl.create_default_context())
        with self.assertRaises(fetch.FetchError):
            fetch.document(self.place.replace("127.0.0.1", "localhost") + "/good", trust())

    def test_a_server_that_drips(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def drip():
                connection, _ = server.accept()
                with connection:
                    try:
                        connection.sendall(b"\x16\x03\x03\x40\x00")
                        while True:
                            connection.sendall(b"\x02")
                            time.sleep(0.05)
                    except OSError:
                        pass

            threading.Thread(target=drip, daemon=True).start()
            began = time.monotonic()
            with unittest.mock.patch.object(fetch, "TOTAL_SECONDS", 0.5), self.assertRaises(fetch.FetchError):
                fetch.document(f"https://127.0.0.1:{server.getsockname()[1]}/")
            self.assertLess(time.monotonic() - began, 1.5)


class Settings(SimpleTestCase):
    def test_what_is_refused(self):
        for change in (
            {"secret_key": ""}, {"cache_key": "short"}, {"provider": "http://provider.test"}, {"audiences": []},
            {"audiences": "x"}, {"hosts": []}, {"hosts": ["*"]}, {"algorithms": ["HS256"]}, {"algorithms": ["none"]},
            {"algorithms": []}, {"leeway": "60"}, {"leeway": True}, {"workers": 0}, {"memcached": ["x"]},
            {"key_refresh": 100000, "key_cache": 10}, {"issuers": [1]},
        ):
            with self.assertRaises(ConfigError, msg=change):
                dataclasses.replace(settings.API, **change)

    def test_secrets_are_not_shown(self):
        self.assertNotIn(settings.API.secret_key, repr(settings.API))
        self.assertNotIn(settings.API.cache_key, repr(settings.API))

    def test_the_names_of_the_role(self):
        with open(os.path.join(os.path.dirname(__file__), "settings.json")) as file:
            self.assertLessEqual(set(json.load(file)), {field.name for field in dataclasses.fields(Config)})


@unittest.skipUnless(shutil.which("memcached"), "memcached is not installed")
class RealMemcached(SimpleTestCase):
    def setUp(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.server = None
        self.start()
        self.addCleanup(self.stop)

    def start(self):
        command = ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-u", "nobody"]
        self.server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self):
        self.server.send_signal(signal.SIGCONT)
        self.server.terminate()
        self.server.wait()

    def memory(self, **options):
        return Memory([f"127.0.0.1:{self.port}"], **options)

    def test_what_it_is_asked_for(self):
        cache = self.memory()
        self.assertIsNone(cache.get("a"))
        self.assertIs(cache.add("a", "\u00e9", 10), True)
        self.assertIs(cache.add("a", "2", 10), False)
        self.assertEqual(cache.get("a"), "\u00e9".encode())
        cache.set("a", "3", 10)
        self.assertEqual(cache.get("a"), b"3")
        cache.delete("a")
        self.assertIsNone(cache.get("a"))

    def test_paused_and_back(self):
        now = [0.0]
        cache = self.memory(tick=lambda: now[0])
        cache.set("a", "1", 100)
        self.server.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        self.assertIs(cache.get("a"), DOWN)
        for _ in range(100):
            self.assertIs(cache.get("a"), DOWN)
        self.assertLess(time.monotonic() - began, 2 * memory.SECONDS + 0.3)
        self.server.send_signal(signal.SIGCONT)
        now[0] += memory.REST_SECONDS
        self.assertEqual(cache.get("a"), b"1")

    def test_restarted(self):
        now = [0.0]
        cache = self.memory(tick=lambda: now[0])
        cache.set("a", "1", 100)
        self.stop()
        self.assertIs(cache.get("a"), DOWN)
        self.start()
        now[0] += memory.REST_SECONDS
        self.assertIsNone(cache.get("a"))

    def test_restarted_while_nobody_asked(self):
        idle, other = self.memory(), self.memory()
        idle.set("a", "1", 100)
        self.stop()
        self.start()
        other.set("a", "2", 100)
        self.assertEqual(idle.get("a"), b"2")

    def test_one_of_two_is_gone(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            gone = free.getsockname()[1]
        cache = Memory([f"127.0.0.1:{gone}", f"127.0.0.1:{self.port}"])
        cache.set("a", "1", 100)
        self.assertEqual(cache.get("a"), b"1")

    def test_keys_over_it(self):
        stage = Stage()
        self.addCleanup(stage.close)
        stage.memcached.connect = lambda _: memory.connect(f"127.0.0.1:{self.port}")
        stage.verifier = stage.instance()
        other = stage.instance()
        for verifier in (stage.verifier, other):
            self.assertEqual(verifier.claims(stage.token())["sub"], "someone")
        self.assertEqual(stage.provider.fetches, 1)
