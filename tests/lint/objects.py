"""Checks of what the compiler made: pure archives, names of exported symbols, hardened programs."""
import fnmatch
import json
import os
import re
import subprocess

PURE = {  # archive: the folder with its source
  "base": "proto/base", "cbor": "proto/cbor", "cose": "proto/cose", "seal": "proto/seal", "tlog": "proto/tlog",
  "statement": "proto/statement", "core": "proto/core", "broker_core": "broker/core", "match": "broker/core", "log": "broker/log", "escrow_core": "escrow/core",
  "node_core": "sensor-node/core", "buyer_core": "buyer-sdk/src",
}
FOLDERS = ("proto/", "broker/", "escrow/", "sensor-node/", "buyer-sdk/")


def read_list(path):
  """The entries of an allow-list: one a line, "#" begins a comment."""
  with open(path, encoding="utf-8") as file:
    lines = [line.split("#")[0].strip() for line in file]
  return [line for line in lines if line]


def nm(*arguments):
  done = subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True)
  return done.stdout.splitlines()


def find_archives(build):
  found = {}
  for folder, _, names in os.walk(build):
    for name in names:
      if name.startswith("lib") and name.endswith(".a"):
        found[name[3:-2]] = os.path.join(folder, name)
  return found


def undefined(archive):
  return {line.split()[-1] for line in nm("-u", archive) if line.strip().startswith(("U ", "w "))}


def defined(archive):
  return {line.split()[2] for line in nm("--defined-only", "-g", archive) if len(line.split()) == 3}


def allowed(symbol, patterns):
  """The last pattern that matches decides; "!" before one forbids."""
  verdict = False
  for pattern in patterns:
    if fnmatch.fnmatchcase(symbol, pattern.lstrip("!")):
      verdict = not pattern.startswith("!")
  return verdict


def purity(archives, patterns):
  own = set().union(*(defined(path) for path in archives.values()))
  for name, path in sorted(archives.items()):
    for symbol in sorted(undefined(path) - own):
      if not allowed(symbol, patterns):
        yield f"lib{name}.a calls {symbol}: a pure archive has no clock, no randomness, no files and no output; " \
              "bring what it needs in with the event"


def pure_archives(root, build):
  """The archives that exist, and the names of those that have source but no archive, or neither."""
  found = find_archives(build)
  present = {name: found[name] for name in PURE if name in found}
  lost, absent = [], []
  for name in PURE.keys() - present.keys():
    folder = os.path.join(root, PURE[name])
    has_source = os.path.isdir(folder) and any(f.endswith(".c") for f in os.listdir(folder))
    (lost if has_source else absent).append(name)
  return present, sorted(lost), sorted(absent)


def compiled(root, build):
  """(source relative to root, object) of what belongs to the programs, not to tests or examples."""
  with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
    commands = json.load(file)
  for command in commands:
    source = os.path.relpath(os.path.join(command["directory"], command["file"]), root)
    output = os.path.join(command["directory"], command["output"])
    if source.startswith(FOLDERS) and os.path.exists(output):
      yield source, output


def stems(source, output):
  stem = os.path.splitext(os.path.basename(source))[0]
  library = re.sub(r"^lib|\.(a|so[.\d]*|p)$", "", re.sub(r"\.p$", "", os.path.basename(os.path.dirname(output))))
  return {stem, library}


def prefixes(objects, exceptions):
  """exceptions: "path-pattern symbol-pattern..." lines."""
  rules = [line.split() for line in exceptions]
  for source, output in objects:
    own = stems(source, output)
    for line in nm("--defined-only", "-g", output):
      symbol = line.split()[-1]
      if symbol == "main" or any(symbol == s or symbol.startswith(s + "_") for s in own):
        continue
      if any(fnmatch.fnmatchcase(source, rule[0]) and any(fnmatch.fnmatchcase(symbol, p) for p in rule[1:])
             for rule in rules):
        continue
      yield f"{source} exports {symbol}: name it {os.path.splitext(os.path.basename(source))[0]}_*, or make it static"


def programs(build):
  with open(os.path.join(build, "meson-info/intro-targets.json"), encoding="utf-8") as file:
    targets = json.load(file)
  tests = os.path.join(build, "tests") + os.sep
  for target in targets:
    path = target["filename"][0]
    if target["type"] == "executable" and not path.startswith(tests) and os.path.exists(path):
      yield path


def hardening(paths):
  for path in paths:
    text = subprocess.run(["readelf", "-hldW", path], check=True, capture_output=True, text=True).stdout
    stack = re.search(r"GNU_STACK.*", text)
    for good, what in [(re.search(r"Type:\s+DYN", text), "position-independent (-pie)"),
                       ("GNU_RELRO" in text, "relocated read-only (-z relro)"),
                       (re.search(r"BIND_NOW|FLAGS_1.*NOW", text), "bound at start (-z now)"),
                       (stack and "RWE" not in stack.group(0), "without an executable stack")]:
      if not good:
        yield f"{os.path.basename(path)} is not {what}"
