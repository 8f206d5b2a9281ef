#!/usr/bin/python3
"""What README.md tells people to type is typed, in an empty directory that has nothing but `dev`.

usage: readme_test.py ROOT"""
import hashlib
import json
import os
import pty
import random
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

ROOT = os.path.abspath(sys.argv[1])
COMMAND_S = 500  # the first one may have to build all
END_S = 60
INTERRUPTS = 5
SEED = int(os.environ.get("ASSAY_SEED") or random.randrange(1 << 32))

# Commands that are not run as they stand, and why.
EXCEPTIONS = {
  "./dev test": "this is part of it",
  "./dev fuzz": "fuzzes for minutes; the suite fuzz replays the corpus",
  "./dev run assay-sim --seed 7": "builds the tests once more; the suite sim runs the same program",
}
UNTIL_CTRL_C = "./dev run assay up "
READY = b"The market runs in "

PURCHASE = {"request_id": str, "state": str, "node": str, "source": str, "tier": str, "price_micros": int, "currency": str,
            "elapsed_ms": int, "bundle": str, "payload": str, "payload_sha256": str, "checks": list}
PARTIES = ("buyer", "node", "verifier", "fee account")


def readme():
  with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    return file.read()


def block_commands(text):
  """The commands of all sh blocks, in order, without comments."""
  found = []
  for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
    for line in block.replace("\\\n", " ").splitlines():
      words = shlex.split(line, comments=True)
      if words:
        found.append(shlex.join(words))
  return found


def inline_commands(text):
  """`./dev ...` in running text."""
  return re.findall(r"`(\./dev[^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


class Scratch(unittest.TestCase):
  """An empty directory, an empty home, and a mark in the environment by which a forgotten process is known."""

  def setUp(self):
    home = tempfile.TemporaryDirectory()
    self.addCleanup(home.cleanup)
    self.dir = os.path.join(home.name, "here")
    self.mark = "ASSAY_README_TEST=" + uuid.uuid4().hex
    name, value = self.mark.split("=")
    self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm", "CI": "true", name: value,
                "HOME": os.path.join(home.name, "home"), "TMPDIR": os.path.join(home.name, "tmp"),
                "XDG_CONFIG_HOME": os.path.join(home.name, "config")}
    for folder in (self.dir, self.env["HOME"], self.env["TMPDIR"]):
      os.mkdir(folder)
    os.symlink(os.path.join(ROOT, "dev"), os.path.join(self.dir, "dev"))
    self.addCleanup(self.end_all)

  def running(self):
    """Processes that descend from this test: they inherit the mark, or were told the directory."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
      try:
        with open(f"/proc/{pid}/environ", "rb") as file:
          marked = self.mark.encode() in file.read().split(b"\0")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
          command = file.read().replace(b"\0", b" ").decode(errors="replace")
      except OSError:  # gone, or somebody else's
        continue
      if int(pid) != os.getpid() and (marked or os.path.dirname(self.dir) in command):
        found[int(pid)] = command
    return found

  def end_all(self):
    for pid in self.running():
      try:
        os.kill(pid, signal.SIGKILL)
      except ProcessLookupError:
        continue

  def run_command(self, command, code=0):
    done = subprocess.run(shlex.split(command), cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=COMMAND_S)
    self.assertEqual(done.returncode, code, f"{command}\n{done.stdout}{done.stderr}")
    return done

  def start_until(self, command, ready):
    """A program that goes on: started, and read until it says that it is ready."""
    program = subprocess.Popen(shlex.split(command), cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    self.addCleanup(program.stdout.close)
    output = b""
    while ready not in output:
      self.assertTrue(select.select([program.stdout], [], [], COMMAND_S)[0], f"{command}: not ready: {output}")
      chunk = os.read(program.stdout.fileno(), 65536)
      self.assertTrue(chunk, f"{command} ended: {output}")
      output += chunk
    return program

  def interrupt(self, program):
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=END_S)
    self.assertEqual(program.returncode, 0)

  def digest(self, path):
    with open(path, "rb") as file:
      return hashlib.sha256(file.read()).hexdigest()


class Commands(Scratch):
  def test_each_as_written(self):
    commands = block_commands(readme())
    self.assertIn("./dev demo", commands)
    up = None
    for command in commands:
      if command in EXCEPTIONS:
        continue
      if command.startswith(UNTIL_CTRL_C):
        up = self.start_until(command, READY)
      else:
        self.run_command(command)
    self.assertIsNotNone(up, "README.md starts no market")
    self.assertTrue(self.running())
    self.interrupt(up)
    self.assertEqual(self.running(), {})
    with open(os.path.join(self.dir, "photo.jpg"), "rb") as file:
      self.assertEqual(file.read(3), b"\xff\xd8\xff")
    # What it told is kept: the bundle verifies without the market.
    self.run_command("./dev run assay verify photo.assay")

  def test_inline(self):
    commands = set(inline_commands(readme()))
    self.assertIn("./dev run assay-node --help", commands)
    for command in sorted(commands - set(EXCEPTIONS)):
      if command != "./dev demo --json":  # the other class
        self.run_command(command)
    for program in ("assay-escrow", "assay-verifier", "assay"):
      self.assertIn(program, self.run_command(f"./dev run {program} --help").stdout)

  def test_exceptions_are_in_use(self):
    text = readme()
    self.assertLessEqual(set(EXCEPTIONS), set(block_commands(text) + inline_commands(text)))


class Demo(Scratch):
  def test_json(self):
    done = self.run_command("./dev demo --yes --json")
    self.assertEqual(self.running(), {})
    self.assertEqual(done.stdout.count("\n"), 1, done.stdout)
    bought = json.loads(done.stdout)
    self.assertIs(bought["tampered_refused"], True)
    for name in ("photo", "measurement"):
      with self.subTest(name):
        self.check_purchase(bought[name])
    self.assertNotEqual(bought["photo"]["request_id"], bought["measurement"]["request_id"])
    self.assertEqual((bought["photo"]["source"], bought["measurement"]["source"]), ("replay", "synthetic"))

  def check_purchase(self, bought):
    for member, kind in PURCHASE.items():
      self.assertIs(type(bought[member]), kind, member)
      self.assertTrue(bought[member], member)
    self.assertEqual((bought["state"], bought["currency"]), ("SETTLED", "XTS"))
    self.assertRegex(bought["request_id"], "^[0-9a-f]{64}$")
    self.assertRegex(bought["node"], "^did:key:z6Mk")
    self.assertEqual(bought["payload_sha256"], self.digest(bought["payload"]))
    self.assertGreater(os.path.getsize(bought["bundle"]), os.path.getsize(bought["payload"]))
    for check in bought["checks"]:
      self.assertEqual(set(check), {"name", "result", "detail"})
      self.assertEqual(check["result"], "pass")
    price = bought["price_micros"]
    moved = {who: bought["balances_after"][who] - before for who, before in bought["balances_before"].items()}
    self.assertEqual(moved["node"], price)
    self.assertEqual(sum(moved.values()), 0)

  def test_for_people(self):
    done = self.run_command("./dev demo")
    self.assertEqual(self.running(), {})
    self.assertNotIn("\r", done.stdout + done.stderr)
    self.assertNotIn("\033", done.stdout + done.stderr)
    self.check_text(done.stdout)
    self.assertRegex(done.stderr, r"(?m)^  photo: SETTLED \d+\.\d s did:key:")
    self.assertRegex(done.stderr, r"(?m)^  measurement: SETTLED \d+\.\d s did:key:")

  def check_text(self, text):
    for name in ("photo", "measurement"):
      self.assertIn(f"{name} SETTLED\n", text)
    self.assertEqual(len(re.findall(r"^  price    \d+\.\d+ XTS, after \d+ ms$", text, re.M)), 2)
    states = re.findall(r"^  state    ([A-Z]+) +(\d{4}-\d\d-\d\dT[\d:.]+Z)$", text, re.M)
    self.assertEqual([s for s, _ in states].count("SETTLED"), 2, text)
    self.assertGreaterEqual(len(states), 6)
    self.assertGreaterEqual(len(re.findall(r"^  check    [a-z.-]+ +pass\b", text, re.M)), 10)
    for who in PARTIES:
      lines = re.findall(rf"^  balance  {who} +(\S+) -> (\S+) XTS$", text, re.M)
      self.assertEqual(len(lines), 2, who)
      self.assertTrue(all(before != after for before, after in lines), lines)
    for word in ("payload", "bundle"):
      for path in re.findall(rf"^  {word}  +(\S+)$", text, re.M):
        self.assertTrue(os.path.isfile(path), path)
    for path, digest in re.findall(r"^  payload  (\S+)\n  sha256   (\S+)$", text, re.M):
      self.assertEqual(self.digest(path), digest)
    self.assertEqual(len(re.findall(r"^  offline: \S+ verifies; one byte changed in \S+: refused$", text, re.M)), 2)
    self.check_next(text[text.index("Everything stays in"):])

  def check_next(self, text):
    """What is told to try next works as it is printed, but for the camera and the place, which are the reader's."""
    verify, up, measure, node = re.findall(r"^  (\./dev run assay.*)$", text.replace("\\\n", ""), re.M)
    self.run_command(verify)
    market = self.start_until(up, READY)
    self.assertIn("SETTLED", self.run_command(measure).stdout)
    seller = self.start_until(node.replace("v4l2:/dev/video0", "test").replace("LAT,LON", "-33.8,151.2"), b"did:key:")
    photo = self.run_command(measure.replace("measure", "photo").replace("47.3769,8.5417", "-33.8,151.2")
                             .replace("--unit V", ""))
    self.assertIn("synthetic", photo.stdout)
    self.interrupt(seller)
    self.interrupt(market)
    self.assertEqual(self.running(), {})


class Terminal(Scratch):
  """The demonstration as somebody sees it who sits before it."""

  def start(self):
    # No CI: a terminal is asked before packages are installed, but not where none is missing.
    env = {name: value for name, value in self.env.items() if name != "CI"}
    pid, fd = pty.fork()
    if pid == 0:
      os.chdir(self.dir)
      os.execve("./dev", ["./dev", "demo"], env)
    return pid, fd

  def follow(self, fd, until):
    """Output until the program closes the terminal, or until that moment: (output, closed)."""
    output = b""
    while True:
      left = until - time.monotonic()
      if left <= 0 or not select.select([fd], [], [], left)[0]:
        return output, False
      try:
        chunk = os.read(fd, 65536)
      except OSError:  # EIO: nobody has it open any more
        chunk = b""
      if not chunk:
        return output, True
      output += chunk

  def run_demo(self, interrupt_after=None):
    """(status, output, seconds); with Ctrl-C after so many seconds."""
    begun = time.monotonic()
    pid, fd = self.start()
    output, closed = b"", False
    if interrupt_after is not None:
      output, closed = self.follow(fd, begun + interrupt_after)
      if not closed:
        os.write(fd, b"\x03")
    if not closed:
      more, closed = self.follow(fd, time.monotonic() + COMMAND_S)
      output += more
    self.assertTrue(closed, output)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, output.decode(), time.monotonic() - begun

  def test_progress_and_interrupts(self):
    self.run_command("./dev build")
    status, output, seconds = self.run_demo()
    self.assertEqual(status, 0, output)
    self.assertEqual(self.running(), {})
    self.assertRegex(output, r"\r  photo: [A-Z]+ +\d+\.\d s \S*\x1b\[K")
    self.assertRegex(output, r"\r  measurement: SETTLED +\d+\.\d s did:key:z6Mk\w+\x1b\[K\r\n")
    self.assertIn("Everything stays in", output)
    moments = random.Random(SEED)
    for _ in range(INTERRUPTS):
      after = moments.uniform(0, seconds)
      with self.subTest(seed=SEED, after=after):
        status, output, _ = self.run_demo(after)
        self.assertEqual(self.running(), {}, output)
        if status == 0:
          self.assertIn("Everything stays in", output)


if __name__ == "__main__":
  print(f"seed {SEED}: repeat with ASSAY_SEED={SEED}")
  unittest.main(argv=sys.argv[:1], verbosity=2)
