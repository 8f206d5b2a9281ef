#!/usr/bin/python3
"""The examples are short, need nothing but the library, and buy what they say in a market on this machine.

usage: examples_test.py SOURCES ASSAY BROKER ESCROW VERIFIER NODE INSTRUMENT DECODER BUY_PHOTO BUY_MEASUREMENT"""
import glob
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

(SOURCES, ASSAY, BROKER, ESCROW, VERIFIER, NODE, INSTRUMENT, DECODER, BUY_PHOTO,
 BUY_MEASUREMENT) = map(os.path.abspath, sys.argv[1:11])
READY_S = 60
RUN_S = 120
LINES_MAX = 79
STANDARD = {"assert", "ctype", "errno", "inttypes", "limits", "math", "stdbool", "stddef", "stdint", "stdio", "stdlib", "string",
            "time"}


class Sources(unittest.TestCase):
  def test_short_and_alone(self):
    paths = glob.glob(os.path.join(SOURCES, "*.c"))
    self.assertGreaterEqual(len(paths), 2)
    for path in paths:
      with self.subTest(path), open(path, encoding="utf-8") as file:
        text = file.read()
        self.assertLessEqual(text.count("\n"), LINES_MAX)
        includes = re.findall(r"^#include +(\S+)", text, re.M)
        self.assertIn("<assay/assay.h>", includes)
        self.assertLessEqual(set(includes), {"<assay/assay.h>"} | {f"<{name}.h>" for name in STANDARD})


class Market(unittest.TestCase):
  @classmethod
  def setUpClass(cls):
    cls.home = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.home.cleanup)
    cls.dir = os.path.join(cls.home.name, "market")
    folders = {os.path.dirname(p) for p in (BROKER, ESCROW, VERIFIER, NODE, INSTRUMENT)}
    cls.env = {**os.environ, "ASSAY_BIN_DIR": ":".join(sorted(folders)), "ASSAY_DECODER": DECODER,
               "XDG_CONFIG_HOME": os.path.join(cls.home.name, "config")}
    cls.env.pop("ASSAY_DIR", None)
    cls.up = subprocess.Popen([ASSAY, "up", "--demo", "--camera", "test", "--json", "--dir", cls.dir],
                              stdout=subprocess.PIPE, env=cls.env)
    cls.addClassCleanup(cls.stop)
    if not select.select([cls.up.stdout], [], [], READY_S)[0]:
      raise AssertionError("the market was not ready in time")
    cls.node = json.loads(cls.up.stdout.readline())["node"]

  @classmethod
  def stop(cls):
    cls.up.send_signal(signal.SIGINT)
    cls.up.communicate(timeout=RUN_S)

  def run_program(self, *args, code=0, **more):
    done = subprocess.run(args, cwd=self.home.name, env={**self.env, **more}, capture_output=True, text=True, check=False,
                          timeout=RUN_S)
    self.assertEqual(done.returncode, code, done.stdout + done.stderr)
    return done

  def read(self, name):
    with open(os.path.join(self.home.name, name), "rb") as file:
      return file.read()

  def available(self):
    said = self.run_program(ASSAY, "wallet", "balance", "--json", "--dir", self.dir).stdout
    return sum(line["amount_micros"] for line in json.loads(said)["balances"] if line["purpose"] == "available")

  def check_words(self, text):
    checks = re.findall(r"^  ([a-z.-]+): (\w+)", text, re.M)
    self.assertIn(("gate.signature", "pass"), checks)
    self.assertEqual({outcome for _, outcome in checks}, {"pass"})

  def test_photo(self):
    done = self.run_program(BUY_PHOTO, self.dir, "example.jpg")
    photo = self.read("example.jpg")
    self.assertEqual((photo[:3], photo[-2:]), (b"\xff\xd8\xff", b"\xff\xd9"))
    self.assertIn(f"example.jpg: {len(photo)} bytes from {self.node}\n", done.stdout)
    self.check_words(done.stdout)
    # Play money is taken once: what is left is enough for the next ones.
    before = self.available()
    self.run_program(BUY_PHOTO, ASSAY_DIR=self.dir)
    self.assertLess(self.available(), before)
    self.assertNotEqual(self.read("photo.jpg"), photo)

  def test_measurement(self):
    done = self.run_program(BUY_MEASUREMENT, self.dir, "example.assay")
    self.assertRegex(done.stdout, r"\A-?\d+e-?\d+ V, proved by example\.assay\n")
    self.check_words(done.stdout)
    self.run_program(ASSAY, "verify", "example.assay")

  def test_what_goes_wrong_is_said(self):
    for program in (BUY_PHOTO, BUY_MEASUREMENT):
      done = self.run_program(program, os.path.join(self.home.name, "none"), "none.out", code=1)
      self.assertIn("NO_MARKET: There is no market in", done.stderr)
      self.run_program(program, self.dir, "no/such/folder", code=1)
    self.assertFalse(os.path.exists(os.path.join(self.home.name, "none.out")))


if __name__ == "__main__":
  unittest.main(argv=sys.argv[:1], verbosity=2)
