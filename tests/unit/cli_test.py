#!/usr/bin/python3
"""The assay program without a market: help, usage, keys, market files, inspect, and bundles that are none.

usage: cli_test.py ASSAY STATEMENT-SAMPLES"""
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

ASSAY, SAMPLES = sys.argv[1:3]
DID = "did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd"
COMMANDS = ["demo", "up", "buy photo", "buy measure", "request post", "request show", "request list",
            "request cancel", "bundle extract", "verify", "inspect", "wallet balance", "wallet deposit",
            "wallet history", "node list", "key new", "key show", "market add", "market list"]


def contact():
  return {"did": DID, "curve_key": "11" * 32, "encryption_key": "22" * 32, "endpoint": "tcp://127.0.0.1:1"}


def market(**changes):
  whole = {"name": "local", "asset": "XTS", "broker": contact(), "escrow": contact(), "verifiers": [DID]}
  whole.update(changes)
  return {key: value for key, value in whole.items() if value is not None}


class Cli(unittest.TestCase):
  def setUp(self):
    self.home = tempfile.TemporaryDirectory()
    self.addCleanup(self.home.cleanup)
    self.env = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": self.path("config")}

  def path(self, *names):
    return os.path.join(self.home.name, *names)

  def write(self, name, content):
    mode = "wb" if isinstance(content, bytes) else "w"
    with open(self.path(name), mode) as file:
      file.write(content)
    return self.path(name)

  def run_assay(self, *args, code=0):
    done = subprocess.run([ASSAY, *args], capture_output=True, text=True, env=self.env, check=False, timeout=60)
    self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
    return done

  def json_of(self, *args, code=0):
    done = self.run_assay(*args, "--json", code=code)
    self.assertEqual(done.stdout.count("\n"), 1, done.stdout)
    return json.loads(done.stdout)

  def refused(self, *args, code, words):
    done = self.run_assay(*args, code=code)
    self.assertIn(words, done.stderr)
    return done

  def test_help_of_every_command(self):
    listed = self.run_assay("--help").stdout
    for command in COMMANDS:
      self.assertIn("  " + command + " ", listed)
      text = self.run_assay(*command.split(), "--help").stdout
      self.assertIn(f"Usage: assay {command}", text)
      self.assertIn(f"Example:\n  assay {command}", text)
      self.assertIn("Exit codes:", text)

  def test_bad_usage_says_what_to_do(self):
    for command in COMMANDS:
      done = self.run_assay(*command.split(), "--no-such-option", code=2)
      self.assertIn(f"assay {command}: no such option", done.stderr)
      self.assertIn("--help", done.stderr)
    for args in (["what"], ["buy"], ["buy", "photo"], ["buy", "photo", "--at", "1,2"], ["wallet", "deposit"],
                 ["buy", "photo", "--at", "here", "--max", "1"], ["request", "show"], ["verify"], ["inspect"],
                 ["buy", "photo", "--at", "1,2", "--max", "cheap"], ["bundle", "extract", "x"],
                 ["buy", "photo", "--at", "1,2", "--max", "1", "--sources", "live,sound"],
                 ["buy", "photo", "--at", "1,2", "--max", "0.0000001"],
                 ["buy", "measure", "--at", "1,2", "--max", "1", "--low", "2", "--high", "1"],
                 ["buy", "measure", "--at", "1,2", "--max", "1", "--low", "2"],
                 ["wallet", "deposit", "1", "--operation", "12"], ["verify", "a", "b"], ["node", "list", "more"]):
      self.run_assay(*args, code=2)

  def test_order_files_are_strict(self):
    good = {"kind": "voltage.dc", "at": "1,2", "max": "0.2"}
    for wrong, words in (({"max": 0.2}, '"max" must be a string'), ({"speed": 1}, '"speed" is no member'),
                         ({"radius": "5"}, '"radius" must be an integer'), ({"radius": -5}, "radius is in metres"),
                         ({"at": "1"}, "at is LAT,LON"), ({"attempts": 100}, "attempts is a number"),
                         ({"low": "1"}, "low and high belong together")):
      self.refused("request", "post", self.write("o.json", json.dumps({**good, **wrong})), code=2, words=words)
    for missing in good:
      rest = {key: value for key, value in good.items() if key != missing}
      self.refused("request", "post", self.write("o.json", json.dumps(rest)), code=2, words=f"{missing} is missing")
    for text in ("[]", "{", '{"kind":"a","kind":"b"}', ""):
      self.refused("request", "post", self.write("o.json", text), code=2, words="not one JSON object")
    # A good one gets as far as there being no market.
    self.refused("request", "post", self.write("o.json", json.dumps(good)), code=2, words="NO_MARKET")

  def test_without_market_or_keys(self):
    error = self.json_of("wallet", "balance", code=2)["error"]
    self.assertEqual(error["name"], "NO_MARKET")
    self.run_assay("market", "add", self.write("m.json", json.dumps(market())))
    self.assertEqual(self.json_of("node", "list", code=2)["error"]["name"], "NO_KEYS")
    self.run_assay("key", "new")
    self.assertEqual(self.json_of("node", "list", code=6)["error"]["name"], "UNREACHABLE")

  def test_keys_are_private(self):
    made = self.json_of("key", "new")
    keys = self.path("config", "assay", "buyer", "keys")
    self.assertEqual(made["keys"], keys)
    self.assertEqual(stat.S_IMODE(os.stat(keys).st_mode), 0o700)
    for name in ("root.key", "working.key", "curve.key", "encryption.key", "keys.cose"):
      self.assertEqual(stat.S_IMODE(os.stat(os.path.join(keys, name)).st_mode), 0o600, name)
    self.assertEqual(self.json_of("key", "show"), made)
    for member in ("working_key", "curve_key", "encryption_key"):
      self.assertRegex(made[member], "^[0-9a-f]{64}$")
    self.assertRegex(made["root"], "^did:key:z6Mk")
    self.assertEqual(made["market"], "local")
    # What is there stays.
    self.refused("key", "new", code=3, words="There is an identity")
    self.assertEqual(self.json_of("key", "show"), made)

  def test_open_key_files_are_refused(self):
    self.run_assay("key", "new", "--keys", self.path("k"), "--market", "mine")
    for name in ("working.key", "curve.key", "encryption.key", "root.key"):
      os.chmod(self.path("k", name), 0o644)
      error = self.json_of("key", "show", "--keys", self.path("k"), code=3)["error"]
      self.assertEqual(error["name"], "KEY_FILE_OPEN")
      os.chmod(self.path("k", name), 0o600)
    os.chmod(self.path("k"), 0o777)
    self.run_assay("key", "show", "--keys", self.path("k"), code=3)
    os.chmod(self.path("k"), 0o700)
    # The root key may be kept elsewhere, the working key may not.
    os.unlink(self.path("k", "root.key"))
    self.assertFalse(self.json_of("key", "show", "--keys", self.path("k"))["root_key_here"])
    self.write("k/working.key", "00" * 32 + "\n")
    os.chmod(self.path("k", "working.key"), 0o600)
    self.run_assay("key", "show", "--keys", self.path("k"), code=1)
    os.unlink(self.path("k", "working.key"))
    self.run_assay("key", "show", "--keys", self.path("k"), code=2)

  def test_market_files(self):
    wrong = [market(more=1), market(name=None), market(asset=""), market(verifiers=[]), market(verifiers=["me"]),
             market(broker={"did": DID}), market(escrow={**contact(), "endpoint": "ipc://x"}),
             market(escrow={**contact(), "curve_key": "11"}), market(broker=None), []]
    for content in wrong:
      path = self.write("m.json", json.dumps(content))
      self.refused("market", "add", path, code=3, words="no market file")
    for name in ("../up", ".hidden", "a/b", "a b", "\u202e"):
      self.refused("market", "add", self.write("m.json", json.dumps(market(name=name))), code=3, words="name must be")
    self.refused("market", "add", self.write("m.json", "{"), code=3, words="no market file")
    self.refused("market", "add", self.path("nowhere"), code=2, words="cannot read")
    self.assertEqual(self.json_of("market", "list"), {"markets": []})

  def test_markets_are_kept(self):
    os.mkdir(self.path("dir"))
    self.write("dir/market.json", json.dumps(market()))
    self.assertTrue(self.json_of("market", "add", self.path("dir"))["current"])
    self.run_assay("market", "add", self.write("m.json", json.dumps(market(name="other"))))
    listed = {m["name"]: m["current"] for m in self.json_of("market", "list")["markets"]}
    self.assertEqual(listed, {"local": False, "other": True})
    elsewhere = market(broker={**contact(), "did": self.json_of("key", "new")["root"]})
    path = self.write("m.json", json.dumps(elsewhere))
    self.refused("market", "add", path, code=3, words="--replace")
    self.run_assay("market", "add", path, "--replace")
    self.assertIn("* local", self.run_assay("market", "list").stdout)

  def test_inspect_statements(self):
    printed = subprocess.run([SAMPLES], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in printed.splitlines()]
    self.assertGreater(len(lines), 20)
    for kind, content, identifier in lines:
      shown = self.json_of("inspect", self.write("s", bytes.fromhex(content)))
      self.assertEqual(shown["what"], "statement")
      self.assertEqual(shown["statement"]["statement"], kind)
      self.assertEqual(shown["statement"]["id"], identifier)
      self.assertTrue(shown["statement"]["issuer"].startswith("did:key:z6Mk"))
      self.assertRegex(shown["statement"]["body"]["at_ns"], r"^\d{4}-\d\d-\d\dT.*\.\d{9}Z$")
    broken = bytes.fromhex(lines[0][1])[:-1] + b"\x00"
    self.assertEqual(self.json_of("inspect", self.write("s", broken))["what"], "statement")  # signatures are not checked

  def test_inspect_any_cbor(self):
    cases = [("83010243ff0001", [1, 2, "ff0001"], None), ("f93c00", 1.0, "CBOR_FLOAT"),
             ("9f01ff", [1], "CBOR_INDEFINITE"), ("c11a5f000000", {"tag": 1, "value": 1593835520}, "CBOR_TAG"),
             ("1818", 24, None), ("1801", 1, "CBOR_NOT_SHORTEST"), ("a201020103", {"pairs": [[1, 2], [1, 3]]},
             "CBOR_DUPLICATE_KEY"), ("61ff", {"invalid_utf8": "ff"}, "CBOR_UTF8"), ("3bffffffffffffffff",
             "-1-18446744073709551615", "any"), ("f97e00", "NaN", "CBOR_FLOAT"), ("7f4161ff", None, None)]
    for content, expected, name in cases:
      done = subprocess.run([ASSAY, "inspect", "--json", self.write("c", bytes.fromhex(content))],
                            capture_output=True, text=True, env=self.env, check=False)
      if expected is None:
        self.assertEqual(done.returncode, 3)  # a part of a text that is bytes
        continue
      shown = json.loads(done.stdout)
      self.assertEqual((shown["what"], shown["cbor"]), ("cbor", expected), content)
      if name != "any":
        self.assertEqual(shown.get("not_deterministic", {}).get("name"), name, content)
    for content in (b"", b"\x82\x01", b"\x01\x02", b"\x81" * 100 + b"\x01", b"\x1c", b"\xff", b"\x9b" + b"\xff" * 8):
      self.assertEqual(self.json_of("inspect", self.write("c", content), code=3)["error"]["name"], "CBOR_MALFORMED")

  def test_bundles_that_are_none(self):
    for content in (b"", b"garbage", b"\xa0", b"\xd2\x84\x40\xa0\xf6\x40", os.urandom(4096)):
      path = self.write("x.assay", content)
      self.assertEqual(self.json_of("verify", path, code=5)["error"]["name"], "VERIFY_FAILED")
      self.refused("verify", path, code=5, words="VERIFY_FAILED")
      self.run_assay("bundle", "extract", path, "--out", self.path("out"), code=5)
      self.assertFalse(os.path.exists(self.path("out")))
    self.run_assay("verify", self.path("missing"), code=2)

  def test_text_of_strangers_has_no_power(self):
    path = self.write("o.json", json.dumps({"\x1b[2J\u009b31m\u202eevil": 1}))
    done = self.run_assay("request", "post", path, code=2)
    self.assertIn("\\x1b[2J", done.stderr)
    for character in "\x1b\u009b\u202e":
      self.assertNotIn(character, done.stderr)


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1], verbosity=2)
