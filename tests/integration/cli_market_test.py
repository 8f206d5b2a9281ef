#!/usr/bin/python3
"""The assay program in a real market on this machine, started with `assay up --demo`.

usage: cli_market_test.py ASSAY BROKER ESCROW VERIFIER NODE INSTRUMENT DECODER"""
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import unittest

ASSAY, BROKER, ESCROW, VERIFIER, NODE, INSTRUMENT, DECODER = sys.argv[1:8]
HERE = ["--at", "47.3769,8.5417", "--radius", "500"]
READY_S = 60
OPERATION = "00112233445566778899aabbccddeeff"


class Market(unittest.TestCase):
  @classmethod
  def setUpClass(cls):
    cls.home = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.home.cleanup)
    cls.dir = os.path.join(cls.home.name, "market")
    folders = {os.path.dirname(p) for p in (BROKER, ESCROW, VERIFIER, NODE, INSTRUMENT)}
    cls.env = {**os.environ, "ASSAY_BIN_DIR": ":".join(sorted(folders)), "ASSAY_DECODER": DECODER,
               "ASSAY_DIR": cls.dir, "XDG_CONFIG_HOME": os.path.join(cls.home.name, "config")}
    # The pattern is another one in each photograph, so that none was sold before.
    cls.up = subprocess.Popen([ASSAY, "up", "--demo", "--camera", "test", "--json", "--dir", cls.dir],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cls.env)
    cls.addClassCleanup(cls.stop)
    if not select.select([cls.up.stdout], [], [], READY_S)[0]:
      raise AssertionError("the market was not ready in time: " + cls.logs())
    line = cls.up.stdout.readline()
    if not line:
      raise AssertionError("the market did not start: " + cls.up.stderr.read().decode() + cls.logs())
    cls.ready = json.loads(line)

  @classmethod
  def logs(cls):
    text = ""
    folder = os.path.join(cls.dir, "log")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
      with open(os.path.join(folder, name), encoding="utf-8") as log:
        text += f"\n== {name}\n" + log.read()[-2000:]
    return text

  @classmethod
  def stop(cls):
    if cls.up.poll() is None:
      cls.up.send_signal(signal.SIGINT)
      cls.up.wait(timeout=60)
    cls.up.stdout.close()
    cls.up.stderr.close()

  def path(self, name):
    return os.path.join(self.home.name, name)

  def run_program(self, *args, code=0):
    done = subprocess.run(args, capture_output=True, text=True, env=self.env, check=False, timeout=120)
    self.assertEqual(done.returncode, code, f"{args[1:]}: {done.stdout}{done.stderr}" + (self.logs() if code == 0 else ""))
    return done

  def json_of(self, *args, code=0):
    done = self.run_program(ASSAY, *args, "--json", code=code)
    self.assertEqual(done.stdout.count("\n"), 1, done.stdout)
    return json.loads(done.stdout)

  def balance(self, purpose, *more):
    lines = self.json_of("wallet", "balance", *more)["balances"]
    return sum(line["amount_micros"] for line in lines if line["purpose"] == purpose)

  def digest(self, name):
    with open(self.path(name), "rb") as file:
      return hashlib.sha256(file.read()).hexdigest()

  def test_1_deposit_once(self):
    for _ in range(2):
      self.json_of("wallet", "deposit", "10.00", "--operation", OPERATION)
      self.assertEqual(self.balance("available"), 10_000_000)
    error = self.json_of("wallet", "deposit", "11", "--operation", OPERATION, code=3)["error"]
    self.assertEqual(error["name"], "EXISTS_WITH_DIFFERENT_CONTENT")
    self.assertEqual(self.json_of("wallet", "deposit", "0", code=3)["error"]["name"], "AMOUNT_RANGE")
    self.assertEqual(self.balance("available"), 10_000_000)

  def test_2_node_list(self):
    listed = self.json_of("node", "list")
    self.assertTrue(all(o["connected"] for o in listed["offerings"]))
    self.assertEqual({o["kind"] for o in listed["offerings"]}, {"camera.still", "voltage.dc"})
    self.assertEqual({o["node"] for o in listed["offerings"]}, {self.ready["node"]})
    # The cell is coarse: it is not the node's place.
    self.assertNotIn(473769000, [o["cell"]["lat_e7"] for o in listed["offerings"]])
    self.assertIn("voltage.dc", self.run_program(ASSAY, "node", "list").stdout)

  def test_3_measurement(self):
    before, paid = self.balance("available"), self.balance("available", "--keys", self.path("market/node/keys"))
    bought = self.json_of("buy", "measure", *HERE, "--max", "0.20", "--low", "0", "--high", "10.5",
                          "--out", self.path("v.cbor"), "--bundle", self.path("v.assay"))
    self.assertEqual((bought["state"], bought["unit"], bought["node"]), ("SETTLED", "V", self.ready["node"]))
    self.assertEqual(bought["states"][-1]["state"], "SETTLED")
    self.assertEqual({c["result"] for c in bought["checks"]}, {"pass"})
    self.assertIn("unit-range", [c["name"] for c in bought["checks"]])
    self.assertEqual(bought["payload_sha256"], self.digest("v.cbor"))
    price = bought["price_micros"]
    self.assertEqual(self.balance("available", "--keys", self.path("market/node/keys")) - paid, price)
    self.assertEqual(before - self.balance("available"), price + price * 2 // 100 + price * 3 // 100)
    verified = self.json_of("verify", self.path("v.assay"))
    self.assertTrue(verified["verified"])
    self.assertEqual((verified["request_id"], verified["currency"]), (bought["request_id"], "XTS"))
    self.assertEqual(verified["parties"]["escrow"], self.ready["escrow"]["did"])
    self.assertEqual(self.json_of("inspect", self.path("v.assay"))["what"], "bundle")
    self.assertEqual(self.json_of("inspect", self.path("v.cbor"))["what"], "measurement")

  def test_4_photo_and_tampering(self):
    bought = self.json_of("buy", "photo", *HERE, "--max", "0.20", "--width", "320", "--height", "240",
                          "--out", self.path("p.jpg"), "--bundle", self.path("p.assay"))
    self.assertEqual((bought["type"], bought["source"], bought["tier"]), ("image/jpeg", "synthetic", "synthetic"))
    self.json_of("bundle", "extract", self.path("p.assay"), "--out", self.path("q.jpg"))
    self.assertEqual(self.digest("p.jpg"), self.digest("q.jpg"))
    with open(self.path("p.assay"), "rb") as file:
      whole = bytearray(file.read())
    for at in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
      changed = bytearray(whole)
      changed[at] ^= 1
      with open(self.path("bad.assay"), "wb") as file:
        file.write(changed)
      self.assertEqual(self.json_of("verify", self.path("bad.assay"), code=5)["error"]["name"], "VERIFY_FAILED")
      self.run_program(ASSAY, "bundle", "extract", self.path("bad.assay"), "--out", self.path("no.jpg"), code=5)
    self.assertFalse(os.path.exists(self.path("no.jpg")))

  def test_5_request_commands(self):
    order = {"kind": "voltage.dc", "at": "47.3769,8.5417", "radius": 500, "max": "0.20", "unit": "V"}
    with open(self.path("order.json"), "w", encoding="utf-8") as file:
      json.dump(order, file)
    posted = self.json_of("request", "post", self.path("order.json"))["request_id"]
    shown = self.json_of("request", "show", posted, "--wait", "--bundle", self.path("w.assay"))
    self.assertEqual(shown["state"], "SETTLED")
    self.run_program(ASSAY, "verify", self.path("w.assay"))
    with open(self.path("far.json"), "w", encoding="utf-8") as file:
      json.dump({**order, "at": "1,2", "timeout": 600}, file)
    far = self.run_program(ASSAY, "request", "post", self.path("far.json")).stdout.strip()
    self.assertIn(self.json_of("request", "show", far)["state"], ("POSTED", "OPEN"))
    self.assertEqual(self.json_of("request", "cancel", far)["state"], "REFUNDED")
    self.assertEqual(self.json_of("request", "show", far)["state"], "REFUNDED")
    self.assertEqual(self.json_of("request", "show", far, "--wait", code=4)["error"]["name"], "REFUNDED")
    listed = {r["request_id"]: r["state"] for r in self.json_of("request", "list")["requests"]}
    self.assertEqual((listed[posted], listed[far]), ("SETTLED", "REFUNDED"))
    self.assertEqual(self.json_of("request", "cancel", posted, code=3)["error"]["name"], "ALREADY_ENDED")
    self.assertEqual(self.json_of("request", "show", "ab" * 32, code=3)["error"]["name"], "REQUEST_UNKNOWN")
    left = self.json_of("buy", "measure", *HERE, "--max", "0.20", "--no-wait")["request_id"]
    self.assertEqual(self.json_of("request", "show", left, "--wait")["state"], "SETTLED")

  def test_6_refused_and_refunded(self):
    before = self.balance("available")
    for price in ("0", "-1"):
      error = self.json_of("buy", "photo", *HERE, "--max", price, code=3)["error"]
      self.assertEqual(error["name"], "PRICE_NOT_POSITIVE")
    self.json_of("buy", "photo", "--at", "95,8", "--max", "0.20", code=3)
    self.json_of("buy", "photo", *HERE, "--radius", "0", "--max", "0.20", code=3)
    error = self.json_of("buy", "photo", *HERE, "--max", "0.20", "--asset", "EUR", code=3)["error"]
    self.assertEqual(error["name"], "ASSET_UNKNOWN")
    self.assertEqual(self.json_of("buy", "photo", *HERE, "--max", "1000", code=3)["error"]["name"], "EXCEEDS_AVAILABLE")
    nowhere = self.json_of("buy", "photo", "--at", "1,2", "--max", "0.20", "--timeout", "1", code=4)
    self.assertEqual((nowhere["state"], nowhere["error"]["name"]), ("REFUNDED", "REFUNDED"))
    self.json_of("buy", "photo", *HERE, "--max", "0.20", "--timeout", "1", "--live-only", code=4)
    self.assertEqual((self.balance("available"), self.balance("held")), (before, 0))

  def test_7_history_adds_up(self):
    history = self.json_of("wallet", "history")
    mine = history["identity"]
    total = 0
    for line in history["transfers"]:
      total += line["amount_micros"] if (line["to"], line["to_purpose"]) == (mine, "available") else 0
      total -= line["amount_micros"] if (line["from"], line["from_purpose"]) == (mine, "available") else 0
    self.assertEqual(total, self.balance("available"))
    later = self.json_of("wallet", "history", "--from", str(history["transfers"][3]["seq"]))["transfers"]
    self.assertEqual(later, history["transfers"][3:])

  def test_8_another_identity_has_nothing(self):
    poor = self.path("poor")
    self.run_program(ASSAY, "market", "add", self.dir, "--dir", poor)
    self.run_program(ASSAY, "key", "new", "--dir", poor)
    error = self.json_of("buy", "measure", *HERE, "--max", "0.20", "--dir", poor, code=3)["error"]
    self.assertIn(error["name"], ("ACCOUNT_UNKNOWN", "EXCEEDS_AVAILABLE"))
    # It sees its own request alone, which was not funded.
    self.assertEqual([r["state"] for r in self.json_of("request", "list", "--dir", poor)["requests"]], ["LAPSED"])

  def test_9_stopped_market(self):
    self.stop()
    self.assertEqual(self.up.returncode, 0)
    self.assertEqual(self.json_of("wallet", "balance", code=6)["error"]["name"], "UNREACHABLE")
    self.run_program(ASSAY, "buy", "measure", *HERE, "--max", "0.20", code=6)
    self.run_program(ASSAY, "verify", self.path("v.assay"))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1], verbosity=2, failfast=True)
