"""Plants one fault for each check, and something near it that is right, in a scratch folder."""
import os
import subprocess
import tempfile

import objects
import source

IMPURE = """#include <time.h>
#include <stdlib.h>
#include <stdio.h>
long planted_now(void) { return (long)time(NULL) + rand(); }
void planted_say(int n) { printf("%d", n); }
"""
PURE = """#include <string.h>
#include <stdio.h>
int planted_pure(char *p, const char *q, int n) { return snprintf(p, strlen(q), "%d", n); }
"""


def write(folder, name, text):
  path = os.path.join(folder, name)
  with open(path, "w", encoding="utf-8") as file:
    file.write(text)
  return path


def archive(folder, name, text):
  code = write(folder, name + ".c", text)
  target = os.path.join(folder, name + ".o")
  subprocess.run(["cc", "-O2", "-w", "-c", code, "-o", target], check=True)
  path = os.path.join(folder, f"lib{name}.a")
  subprocess.run(["ar", "rcs", path, target], check=True)
  return path


def found(complaints, *words):
  """What is wrong with the findings: each word must be in one complaint, and there are no others."""
  complaints = list(complaints)
  for word in words:
    if not any(word in c for c in complaints):
      yield f"a planted fault was not found: {word}"
  if len(complaints) != len(words):
    yield f"{len(complaints)} complaints where {len(words)} were planted: {complaints}"


def text_faults(folder):
  body = "\tint x;\n" * 80
  write(folder, "format.c", "int  f( void ){return 1;}\n")
  write(folder, ".clang-format", "BasedOnStyle: LLVM\n")
  write(folder, "good.c", "int f(void) { return 1; }\n")
  yield from found(source.clang_format(folder, ["format.c", "good.c"]), "format.c")
  write(folder, "big.c", "\n" * 1001)
  write(folder, "wide.c", "\n" * 601)
  yield from found(source.sizes(folder, ["big.c", "wide.c", "good.c"]), "big.c: 1001", "warning wide.c")
  write(folder, "long.c", "static int f(int a,\n\tint b)\n{\n" + body + "}\n")
  write(folder, "marked.c", "/* long: a table of cases */\nstatic int f(int a,\n\tint b)\n{\n" + body + "}\n")
  write(folder, "table.c", "static int t[] = {\n" + "\t1,\n" * 90 + "};\n\nint f(void)\n{\n\treturn 1;\n}\n")
  yield from found(source.functions(folder, ["long.c", "marked.c", "table.c"]), "long.c:1: a function of 84 lines")
  write(folder, "spaces.txt", "one \ntwo\n")
  write(folder, "cut.txt", "one")
  yield from found(source.whitespace(folder, ["spaces.txt", "cut.txt", "good.c"]), "spaces.txt:1", "cut.txt")
  write(folder, "path.txt", "see " + source.FORBIDDEN[0] + "x and " + source.FORBIDDEN[1] + "\n")
  yield from found(source.forbidden(folder, ["path.txt", "good.c"]), repr(source.FORBIDDEN[0]),
                   repr(source.FORBIDDEN[1]))
  write(folder, "a.md", "[x](good.c) [y](https://example.org/z) [z](lost.md#a) `[q](no)`\n")
  yield from found(source.links(folder, ["a.md"]), "lost.md")


def object_faults(here, folder):
  patterns = objects.read_list(os.path.join(here, "pure-symbols.txt"))
  archives = {"impure": archive(folder, "impure", IMPURE), "pure": archive(folder, "pure", PURE)}
  yield from found(objects.purity(archives, patterns), "calls time:", "calls rand:", "calls printf:")
  for symbol in ["clock_gettime", "open", "sqlite3_open", "zmq_send", "randombytes_buf", "RAND_bytes", "getenv",
                 "crypto_sign_keypair", "EVP_PKEY_keygen", "pthread_create", "socket", "memfd_create", "__printf_chk"]:
    if objects.allowed(symbol, patterns):
      yield f"{symbol} counts as pure"
  made = os.path.join(folder, "impure.o")
  yield from found(objects.prefixes([("proto/x/planted.c", made)], []))
  yield from found(objects.prefixes([("proto/x/other.c", made)], []), "planted_now", "planted_say")
  yield from found(objects.prefixes([("proto/x/other.c", made)], ["proto/*/other.c planted_n*"]), "planted_say")
  code = write(folder, "main.c", "int main(void) { return 0; }\n")
  soft, hard = os.path.join(folder, "soft"), os.path.join(folder, "hard")
  subprocess.run(["cc", code, "-no-pie", "-Wl,-z,norelro,-z,lazy,-z,execstack", "-o", soft], check=True)
  subprocess.run(["cc", code, "-fPIE", "-pie", "-Wl,-z,relro,-z,now,-z,noexecstack", "-o", hard], check=True)
  yield from found(objects.hardening([soft, hard]), "soft is not position", "soft is not reloc", "soft is not bound",
                   "soft is not without")


def run(here):
  with tempfile.TemporaryDirectory() as folder:
    yield from text_faults(folder)
    yield from object_faults(here, folder)
