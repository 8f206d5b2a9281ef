"""Checks of the source text. Each takes the root and a list of paths relative to it, and yields complaints."""
import os
import re
import subprocess

LINES_WARN = 600
LINES_FAIL = 1000
FUNCTION_LINES_MAX = 70
BINARY = (".jpg", ".jpeg", ".png", ".mp4", ".h264", ".cbor", ".assay", ".bin", ".der", ".ico")
# Put together here so that this file does not contain them.
FORBIDDEN = ["/wo" + "rk/", "shared/" + "design"]
LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
LONG_MARK = re.compile(r"/\* long: \S.*\*/")


def project_files(root):
  """Tracked files and new ones that are not ignored; without git, all but build directories."""
  try:
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True).stdout.decode()
    files = listing.split("\0")
  except (OSError, subprocess.CalledProcessError):
    files = []
    for folder, folders, names in os.walk(root):
      folders[:] = [f for f in folders if f not in (".git", "node_modules") and not f.startswith("build")]
      files += [os.path.relpath(os.path.join(folder, name), root) for name in names]
  return sorted({f for f in files if f and os.path.isfile(os.path.join(root, f))})


def read(root, path):
  with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
    return file.read()


def is_text(path):
  return not path.endswith(BINARY) and "/corpus/" not in path and not os.path.basename(path) == "LICENSE"


def is_c(path):
  return path.endswith((".c", ".h"))


def generated(text):
  return "generated, do not edit" in text[:400].lower()


def clang_format(root, files):
  sources = [f for f in files if is_c(f) and not generated(read(root, f))]
  halves = [sources[0::2], sources[1::2]]
  running = [subprocess.Popen(["clang-format", "--dry-run", "--Werror", "-style=file", *half], cwd=root,
                              stderr=subprocess.PIPE, text=True) for half in halves if half]
  for process in running:
    errors = process.communicate()[1]
    wrong = sorted({line.split(":")[0] for line in errors.splitlines() if ": error:" in line})
    for path in wrong:
      yield f"{path}: run clang-format -i {path}"
    if process.returncode != 0 and not wrong:
      yield errors.strip()[-300:]


def sizes(root, files):
  """Over LINES_FAIL is a complaint; over LINES_WARN is one that begins with "warning"."""
  for path in files:
    if not path.endswith((".c", ".h", ".py", ".sql", ".js", ".mjs", ".sh")) or generated(read(root, path)):
      continue
    lines = read(root, path).count("\n")
    if lines > LINES_FAIL:
      yield f"{path}: {lines} lines, {LINES_FAIL} at most: split it"
    elif lines > LINES_WARN:
      yield f"warning {path}: {lines} lines, over {LINES_WARN} wants a reason"


def functions(root, files):
  """clang-format puts the braces of functions, and only theirs, alone on a line at the margin."""
  for path in files:
    if not path.endswith(".c"):
      continue
    lines = read(root, path).split("\n")
    start = None
    for number, line in enumerate(lines):
      if line == "{":
        start = number
        while start > 0 and lines[start - 1] and lines[start - 1][0] not in "}#/ *" and \
            not lines[start - 1].endswith(("*/", ";")):
          start -= 1
        # A signature that is broken over lines goes on with a tab; the loop above passes over those.
      elif line == "}" and start is not None:
        length = number - start + 1
        marked = start > 0 and LONG_MARK.search(lines[start - 1])
        if length > FUNCTION_LINES_MAX and not marked:
          yield f"{path}:{start + 1}: a function of {length} lines, {FUNCTION_LINES_MAX} at most: split it, " \
                "or say why on the line before: /* long: why */"
        start = None


def whitespace(root, files):
  for path in files:
    if not is_text(path):
      continue
    text = read(root, path)
    for number, line in enumerate(text.split("\n"), 1):
      if line != line.rstrip():
        yield f"{path}:{number}: whitespace at the end of the line"
    if text and not text.endswith("\n"):
      yield f"{path}: no newline at the end"


def forbidden(root, files):
  for path in files:
    with open(os.path.join(root, path), "rb") as file:
      data = file.read()
    for phrase in FORBIDDEN:
      if phrase.encode() in data:
        yield f"{path}: contains {phrase!r}, which means nothing outside of one machine"


def links(root, files):
  for path in files:
    if not path.endswith(".md"):
      continue
    text = re.sub(r"^```.*?^```", "", read(root, path), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in LINK.findall(text):
      if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("#"):
        continue
      file = target.split("#")[0]
      if not os.path.exists(os.path.normpath(os.path.join(root, os.path.dirname(path), file))):
        yield f"{path}: links to {target}, which does not exist"
