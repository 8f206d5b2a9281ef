#!/usr/bin/python3
"""Holds the manuals to what the programs say of themselves, both ways.

usage: man_check.py MANDIR ASSAY [DAEMON...]

Each command of `assay --help` has a section in assay.1 with exactly the options of its --help, and each daemon's
page lists exactly the daemon's options. Before that it plants a missing and a surplus option and must find both."""
import os
import re
import subprocess
import sys

OPTION = re.compile(r"^  --([a-z][a-z0-9-]*)", re.M)
COMMON = {"dir", "json", "help"}


def help_of(*command):
  done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=60)
  if done.returncode != 0:
    raise SystemExit(f"{' '.join(command)} --help exits {done.returncode}: {done.stderr}")
  return done.stdout


def options_in_man(text):
  found = set()
  for line in text.splitlines():
    if line.startswith(".It Fl -"):
      found |= set(re.findall(r"\bFl -([a-z][a-z0-9-]*)", line))
  return found


def differences(what, helped, written):
  for name in sorted(helped - written):
    yield f"{what}: --{name} stands in --help and not in the manual"
  for name in sorted(written - helped):
    yield f"{what}: --{name} stands in the manual and not in --help"


def sections(page):
  """Name of each command's subsection ("buy photo") and its text; "" for what stands before the first."""
  found = {"": []}
  name = ""
  for line in page.splitlines():
    if line.startswith(".Ss assay "):
      name = line.split(" Ar ")[0][len(".Ss assay "):].strip()
      found[name] = []
    elif line.startswith(".Sh "):
      name = "" if line == ".Sh DESCRIPTION" else "rest"
      found.setdefault(name, [])
    else:
      found[name].append(line)
  found.pop("rest", None)
  return {name: "\n".join(lines) for name, lines in found.items()}


def check_cli(program, page):
  listed = [line for line in help_of(program).splitlines() if re.match(r"^  [a-z]+( [a-z]+)? {2,}", line)]
  commands = {re.split(r" {2,}", line.strip())[0] for line in listed}
  if len(commands) < 10:
    yield f"assay --help lists {len(commands)} commands only"
  manual = sections(page)
  yield from differences("assay", COMMON, options_in_man(manual.pop("", "")))
  for name in sorted(commands - set(manual)):
    yield f"assay {name} stands in --help and not in the manual"
  for name in sorted(set(manual) - commands):
    yield f"assay {name} stands in the manual and not in --help"
  for name in sorted(commands & set(manual)):
    text = help_of(program, *name.split())
    if f"\nExample:\n  assay {name}" not in text:
      yield f"assay {name} --help has no example"
    yield from differences(f"assay {name}", set(OPTION.findall(text)) - COMMON, options_in_man(manual[name]))


def check_daemon(program, page):
  text = help_of(program)
  # An "option" that is only named in the synopsis part does not count.
  helped = set(OPTION.findall(text[text.index("\nOptions:"):]))
  yield from differences(os.path.basename(program), helped - {"help"}, options_in_man(page) - {"help"})


def read(directory, name):
  with open(os.path.join(directory, name), encoding="utf-8") as page:
    return page.read()


def selftest(program, page):
  """A check that finds nothing wrong in a wrong manual is no check."""
  missing = page.replace(".It Fl -width Ar px\n", "")
  surplus = page.replace(".It Fl -width Ar px\n", ".It Fl -width Ar px\n.It Fl -depth Ar px\n")
  gone = page.replace(".Ss assay node list", ".Ss assay node forget")
  for wrong, words in ((missing, "--width"), (surplus, "--depth"), (gone, "node list")):
    if not any(words in complaint for complaint in check_cli(program, wrong)):
      raise SystemExit(f"the check does not notice {words}")


def main():
  directory, program, *daemons = sys.argv[1:]
  page = read(directory, "assay.1")
  selftest(program, page)
  complaints = list(check_cli(program, page))
  for daemon in daemons:
    complaints += check_daemon(daemon, read(directory, os.path.basename(daemon) + ".1"))
  for name in sorted(os.listdir(directory)):
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", os.path.join(directory, name)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
      complaints.append(f"{name}: {done.stdout.strip()}")
  for complaint in complaints:
    print(complaint)
  print(f"{len(complaints)} complaints")
  return 1 if complaints else 0


if __name__ == "__main__":
  sys.exit(main())
