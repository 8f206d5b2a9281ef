#!/usr/bin/python3
"""Lint: one line a check, "pass  NAME: ...", "FAIL  NAME: ..." or "skip  NAME: why"; exits 1 after a FAIL.

Each check first has to find a planted fault (selftest.py): one that finds nothing any more fails."""
import argparse
import os
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import objects
import selftest
import source

HERE = os.path.dirname(os.path.abspath(__file__))
SHOWN_MAX = 40


class Report:
  def __init__(self):
    self.failed = False

  def line(self, word, name, detail):
    print(f"{word}  {name}: {detail}", flush=True)
    self.failed |= word == "FAIL"

  def check(self, name, complaints, good):
    complaints = list(complaints)
    wrong = [c for c in complaints if not c.startswith("warning ")]
    for complaint in complaints[:SHOWN_MAX]:
      print("      " + complaint, file=sys.stderr)
    if wrong:
      self.line("FAIL", name, f"{len(wrong)} complaints, the first: {wrong[0]}")
    elif complaints:
      self.line("pass", name, f"{good}; {len(complaints)} warnings")
    else:
      self.line("pass", name, good)


def check_source(report, root):
  files = source.project_files(root)
  report.check("format", source.clang_format(root, files), "as clang-format writes it")
  report.check("sizes", source.sizes(root, files), f"no file over {source.LINES_FAIL} lines")
  report.check("functions", source.functions(root, files), f"none over {source.FUNCTION_LINES_MAX} lines")
  report.check("whitespace", source.whitespace(root, files), "none at line ends")
  report.check("foreign paths", source.forbidden(root, files), "none")
  report.check("links", source.links(root, files), "all lead to files")


def check_objects(report, root, build):
  present, lost, absent = objects.pure_archives(root, build)
  patterns = objects.read_list(os.path.join(HERE, "pure-symbols.txt"))
  complaints = list(objects.purity(present, patterns)) if present else []
  complaints += [f"lib{name}.a is not built, though {objects.PURE[name]} has source" for name in lost]
  report.check("purity", complaints, f"{len(present)} archives: {' '.join(sorted(present))}")
  if absent:
    report.line("skip", "purity of " + " ".join(absent), "skipped: there is no source yet")
  exceptions = objects.read_list(os.path.join(HERE, "prefix-exceptions.txt"))
  compiled = list(objects.compiled(root, build))
  report.check("names", objects.prefixes(compiled, exceptions), f"{len(compiled)} objects export under their own name")
  programs = list(objects.programs(build))
  if programs:
    report.check("hardening", objects.hardening(programs), f"{len(programs)} programs with PIE, RELRO, NOW, NX")
  else:
    report.line("skip", "hardening", "skipped: no program is built yet")


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--build", required=True, help="a build directory that is up to date")
  args = parser.parse_args()
  root = os.path.dirname(os.path.dirname(HERE))
  report = Report()
  report.check("selftest", selftest.run(HERE), "every check finds its planted fault")
  check_source(report, root)
  check_objects(report, root, os.path.abspath(args.build))
  return 1 if report.failed else 0


if __name__ == "__main__":
  sys.exit(main())
