"""Where keys come from, how long they count, and how often the provider is asked."""
import concurrent.futures
import json
import time
from unittest import mock

from django.test import SimpleTestCase

from bearer import keystore
from bearer.errors import InvalidToken, KeysUnavailable
from bearer.seal import seal, unseal

from .support import Stage, jwk, rsa_key, settle


class KeyCase(SimpleTestCase):
    def stage(self, *arguments, **options):
        stage = Stage(*arguments, **options)
        self.addCleanup(stage.close)
        return stage

    def assertHolds(self, verifier, token):
        self.assertEqual(verifier.claims(token)["sub"], "someone")

    def assertFails(self, verifier, token):
        with self.assertRaises(InvalidToken):
            verifier.claims(token)


class Sharing(KeyCase):
    def test_one_fetch_does_for_all(self):
        stage = self.stage()
        for verifier in [stage.verifier] + [stage.instance() for _ in range(5)]:
            self.assertHolds(verifier, stage.token())
        self.assertEqual(stage.provider.fetches, 1)

    def test_cold_ones_at_once(self):
        stage = self.stage()
        token = stage.token()
        verifiers = [stage.instance() for _ in range(6)]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda number: self.assertHolds(verifiers[number % 6], token), range(24)))
        self.assertEqual(stage.provider.fetches, 1)

    def test_without_memcached(self):
        stage = self.stage(memcached=False)
        self.assertHolds(stage.verifier, stage.token())
        stage.clock.pass_(200)
        self.assertHolds(stage.verifier, stage.token())
        self.assertEqual(stage.provider.fetches, 1)

    def test_entries_that_are_not_ours(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        (name, (entry, _)), = [item for item in stage.memcached.items.items() if item[0].endswith(".keys")]
        value = json.loads(entry)
        forged = json.dumps({"issuer": stage.provider.issuer, "keys": [jwk("one", rsa_key("evil"))]})
        now, provider, secret = stage.clock(), stage.config.provider, stage.config.cache_key
        for poison in (
            b"", b"\x80\x04cos\nsystem\n(S'false'\ntR.", b"\xff" * 10, b"null", b"[]", b"{}", b"[" * 100000,
            json.dumps({**value, "content": forged}).encode(),
            json.dumps({**value, "fetched": now + 1}).encode(),
            json.dumps({**value, "mac": None}).encode(), json.dumps({**value, "mac": "\ud800"}).encode(),
            json.dumps({**value, "fetched": "x"}).encode(),
            seal("another key that is long", name, provider, now, forged).encode(),
            seal(secret, name + "x", provider, now, forged).encode(),
            seal(secret, name, "https://other.test", now, forged).encode(),
            seal(secret, name, provider, now - stage.config.key_cache, forged).encode(),
            seal(secret, name, provider, now + 3600, forged).encode(),
            seal(secret, name, provider, now, "{").encode(), seal(secret, name, provider, now, "[]").encode(),
            b"x" * (1024 * 1024), "text", 5,
        ):
            stage.memcached.items[name] = (poison, now + 1000)
            verifier = stage.instance()
            self.assertHolds(verifier, stage.token())
            self.assertFails(verifier, stage.token("one", rsa_key("evil")))
            entry = stage.memcached.items[name][0]
            self.assertIsNotNone(unseal(secret, name, provider, entry), "it was put right")
            self.assertEqual(json.loads(json.loads(entry)["content"])["keys"][0]["n"], jwk("one")["n"])

    def test_each_part_is_sealed(self):
        parts = ["secret", "name", "provider", 5, "content"]
        entry = seal(*parts).encode()
        self.assertEqual(unseal("secret", "name", "provider", entry), (5, "content"))
        for secret, name, provider in (("x", "name", "provider"), ("secret", "x", "provider"), ("secret", "name", "x")):
            self.assertIsNone(unseal(secret, name, provider, entry))
        for part in ({"fetched": 6}, {"content": "x"}, {"mac": ""}):
            self.assertIsNone(unseal("secret", "name", "provider", json.dumps({**json.loads(entry), **part}).encode()))

    def test_what_memcached_forgot_it_gets_back(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.memcached.items.clear()
        stage.clock.pass_(61)
        self.assertHolds(stage.verifier, stage.token())
        self.assertHolds(stage.instance(), stage.token())
        self.assertEqual(stage.provider.fetches, 1)


class Renewal(KeyCase):
    def test_old_keys_are_renewed_behind_the_request(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.clock.pass_(301)
        self.assertHolds(stage.verifier, stage.token())
        settle(stage.verifier)
        self.assertEqual(stage.provider.fetches, 2)
        self.assertHolds(stage.verifier, stage.token())
        settle(stage.verifier)
        self.assertEqual(stage.provider.fetches, 2)

    def test_one_of_many_renews(self):
        stage = self.stage()
        verifiers = [stage.instance() for _ in range(6)]
        for verifier in verifiers:
            self.assertHolds(verifier, stage.token())
        stage.clock.pass_(301)
        for _ in range(3):
            for verifier in verifiers:
                self.assertHolds(verifier, stage.token())
        for verifier in verifiers:
            settle(verifier)
        self.assertEqual(stage.provider.fetches, 2)

    def test_a_withdrawn_key_under_traffic(self):
        stage = self.stage(kids=("one", "two"))
        verifiers = [stage.instance() for _ in range(3)]
        for verifier in verifiers:
            self.assertHolds(verifier, stage.token())
        stage.provider.keys = [jwk("two")]
        stage.clock.pass_(301)
        self.assertHolds(verifiers[0], stage.token("two"))
        settle(verifiers[0])
        self.assertFails(verifiers[0], stage.token())
        stage.clock.pass_(1)
        for verifier in verifiers:
            self.assertFails(verifier, stage.token())
            self.assertHolds(verifier, stage.token("two"))

    def test_a_withdrawn_key_after_idleness(self):
        for memcached in (True, False):
            stage = self.stage(kids=("one", "two"), memcached=memcached)
            self.assertHolds(stage.verifier, stage.token())
            stage.provider.keys = [jwk("two")]
            stage.clock.pass_(315)
            self.assertFails(stage.verifier, stage.token())

    def test_a_withdrawn_key_in_memcached_alone(self):
        stage = self.stage(kids=("one", "two"))
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.keys = [jwk("two")]
        stage.clock.pass_(20000)
        self.assertFails(stage.instance(), stage.token())

    def test_all_keys_withdrawn(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.keys = []
        stage.clock.pass_(315)
        self.assertFails(stage.verifier, stage.token())

    def test_an_older_entry_does_not_bring_a_key_back(self):
        stage = self.stage(kids=("one", "two"))
        self.assertHolds(stage.verifier, stage.token())
        old = dict(stage.memcached.items)
        stage.provider.keys = [jwk("two")]
        stage.clock.pass_(315)
        self.assertFails(stage.verifier, stage.token())
        stage.memcached.items.update(old)
        stage.clock.pass_(61)
        self.assertFails(stage.verifier, stage.token())
        self.assertFails(stage.instance(), stage.token())

    def test_an_older_entry_that_is_not_due_yet(self):
        stage = self.stage(kids=("one", "two"))
        self.assertHolds(stage.verifier, stage.token())
        old = dict(stage.memcached.items)
        stage.provider.keys = [jwk("two"), jwk("three")]
        stage.clock.pass_(10)
        self.assertHolds(stage.verifier, stage.token("three"))
        stage.memcached.items.update(old)
        stage.clock.pass_(61)
        self.assertFails(stage.verifier, stage.token())

    def test_a_lock_that_nobody_gives_back(self):
        stage = self.stage(kids=("one", "two"))
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.keys = [jwk("two")]
        stage.clock.pass_(315)
        stage.memcached.items[stage.verifier.keys._busy] = (b"busy", stage.clock() + 10**6)
        with mock.patch.object(keystore, "OTHERS_WAIT", 0.2):
            stage.verifier.claims(stage.token())
            stage.clock.pass_(61)
            self.assertFails(stage.verifier, stage.token())


class Outages(KeyCase):
    def test_the_provider_is_gone(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.broken = True
        for _ in range(20):
            stage.clock.pass_(4000)
            self.assertHolds(stage.verifier, stage.token())
            settle(stage.verifier)
        stage.clock.pass_(6400)
        with self.assertRaises(KeysUnavailable):
            stage.verifier.claims(stage.token())

    def test_both_are_gone_and_there_is_a_copy(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.broken = stage.memcached.down = True
        stage.clock.pass_(86000)
        self.assertHolds(stage.verifier, stage.token())
        stage.clock.pass_(500)
        with self.assertRaises(KeysUnavailable):
            stage.verifier.claims(stage.token())

    def test_the_provider_is_gone_and_memcached_has_the_keys(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.broken = True
        self.assertHolds(stage.instance(), stage.token())
        stage.clock.pass_(80000)
        self.assertHolds(stage.instance(), stage.token())

    def test_a_silent_provider_slows_few_requests(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.silent.set()
        stage.clock.pass_(1000)
        with mock.patch.object(keystore, "OLD_WAIT", 0.3):
            began = time.monotonic()
            self.assertHolds(stage.verifier, stage.token())
            self.assertLess(time.monotonic() - began, 1)
            settle(stage.verifier)
            for _ in range(5):
                stage.clock.pass_(11)
                began = time.monotonic()
                self.assertHolds(stage.verifier, stage.token())
                self.assertLess(time.monotonic() - began, 0.2)

    def test_a_silent_memcached_is_left_alone(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.memcached.down = True
        stage.clock.pass_(61)
        asked = stage.memcached.asked
        for _ in range(50):
            self.assertHolds(stage.verifier, stage.token())
        self.assertEqual(stage.memcached.asked, asked + 1)
        stage.clock.pass_(61)
        stage.memcached.down = False
        self.assertHolds(stage.verifier, stage.token())
        self.assertGreater(stage.memcached.asked, asked + 1)

    def test_a_dead_provider_is_asked_less_and_less(self):
        stage = self.stage()
        stage.provider.broken = True
        verifier = stage.verifier
        real, calls = verifier.keys._provider.fetch, []
        verifier.keys._provider.fetch = lambda: calls.append(1) or real()
        for _ in range(60):
            with self.assertRaises(KeysUnavailable):
                verifier.claims(stage.token())
            stage.clock.pass_(1)
        self.assertLessEqual(len(calls), 9)
        stage.provider.broken = False
        stage.clock.pass_(10)
        self.assertHolds(verifier, stage.token())


class Unknown(KeyCase):
    def test_a_new_key_is_found(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.provider.keys.append(jwk("two"))
        stage.clock.pass_(1)
        self.assertHolds(stage.verifier, stage.token("two"))
        self.assertEqual(stage.provider.fetches, 2)

    def test_a_new_key_is_found_by_all_at_once(self):
        stage = self.stage()
        verifiers = [stage.instance() for _ in range(6)]
        for verifier in verifiers:
            self.assertHolds(verifier, stage.token())
        stage.provider.keys.append(jwk("two"))
        stage.clock.pass_(1)
        token = stage.token("two")
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda number: self.assertHolds(verifiers[number % 6], token), range(24)))
        self.assertLessEqual(stage.provider.fetches, 3)

    def test_made_up_ones_are_cheap(self):
        stage = self.stage()
        verifiers = [stage.instance() for _ in range(6)]
        for verifier in verifiers:
            self.assertHolds(verifier, stage.token())
        stage.clock.pass_(1)
        tokens = [stage.token(f"made-up-{number}", rsa_key("evil")) for number in range(40)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda number: self.assertFails(verifiers[number % 6], tokens[number]), range(40)))
        self.assertLessEqual(stage.provider.fetches, 3)
        self.assertHolds(verifiers[3], stage.token())

    def test_made_up_ones_one_by_one_share_a_budget(self):
        stage = self.stage()
        verifiers = [stage.instance() for _ in range(6)]
        for number in range(40):
            stage.clock.pass_(0.2)
            self.assertFails(verifiers[number % 6], stage.token(f"made-up-{number}", rsa_key("evil")))
        self.assertLessEqual(stage.provider.fetches, 3)

    def test_made_up_ones_without_memcached(self):
        stage = self.stage(memcached=False)
        self.assertHolds(stage.verifier, stage.token())
        for number in range(40):
            stage.clock.pass_(0.5)
            self.assertFails(stage.verifier, stage.token(f"made-up-{number}", rsa_key("evil")))
        self.assertLessEqual(stage.provider.fetches, 1 + 2 + 2)

    def test_the_budget_comes_back(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        for number in range(4):
            stage.clock.pass_(0.1)
            self.assertFails(stage.verifier, stage.token(f"made-up-{number}", rsa_key("evil")))
        stage.provider.keys.append(jwk("two"))
        stage.clock.pass_(0.1)
        self.assertFails(stage.verifier, stage.token("two"))
        stage.clock.pass_(20)
        self.assertHolds(stage.verifier, stage.token("two"))

    def test_what_memcached_has_is_found_whatever_the_budget(self):
        stage = self.stage()
        other = stage.instance()
        self.assertHolds(other, stage.token())
        self.assertHolds(stage.verifier, stage.token())
        stage.clock.pass_(1)
        stage.provider.keys.append(jwk("two"))
        self.assertHolds(other, stage.token("two"))
        while stage.verifier.keys._budget.take():
            pass
        self.assertHolds(stage.verifier, stage.token("two"))
        self.assertEqual(stage.provider.fetches, 2)

    def test_tokens_that_cannot_hold_cost_no_fetch(self):
        stage = self.stage()
        self.assertHolds(stage.verifier, stage.token())
        stage.clock.pass_(1)
        self.assertFails(stage.verifier, stage.token("gone", exp=int(stage.clock()) - 100))
        self.assertFails(stage.verifier, stage.token("gone", aud="other"))
        self.assertEqual(stage.provider.fetches, 1)
