#!/usr/bin/python3
"""Reads one signed statement of each kind, made by statement-samples, with implementations that share no code with
this project: cbor2 and cryptography. Checks that the encoding is deterministic (RFC 8949, 4.2.1), that the signature
verifies over the Sig_structure (RFC 9052, 4.4), and that the id is its SHA-256; and that tampering is noticed.

Usage: statement_judge.py PATH/statement-samples"""
import hashlib
import subprocess
import sys

try:
  import cbor2
  from cryptography.exceptions import InvalidSignature
  from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as error:
  print(f"SKIPPED: {error}: install python3-cbor2 and python3-cryptography")
  sys.exit(77)

KINDS = 23


def head(major, value):
  if value < 24:
    return bytes([major << 5 | value])
  for size, info in ((1, 24), (2, 25), (4, 26), (8, 27)):
    if value < 1 << 8 * size:
      return bytes([major << 5 | info]) + value.to_bytes(size, "big")
  raise ValueError(value)


def encode(item):
  """Deterministic CBOR, written anew: cbor2's canonical order is the older, length-first one."""
  if item is None or isinstance(item, bool):
    return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[item]
  if isinstance(item, int):
    return head(0, item) if item >= 0 else head(1, -1 - item)
  if isinstance(item, bytes):
    return head(2, len(item)) + item
  if isinstance(item, str):
    text = item.encode()
    return head(3, len(text)) + text
  if isinstance(item, (list, tuple)):
    return head(4, len(item)) + b"".join(encode(i) for i in item)
  if isinstance(item, dict):
    pairs = sorted((encode(k), encode(v)) for k, v in item.items())
    return head(5, len(pairs)) + b"".join(k + v for k, v in pairs)
  if isinstance(item, cbor2.CBORTag):
    return head(6, item.tag) + encode(item.value)
  raise TypeError(type(item))


def base58(text):
  digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
  number = 0
  for digit in text:
    number = number * 58 + digits.index(digit)
  return number.to_bytes(34, "big")


def judge(kind, data, claimed_id):
  """What is wrong with one statement, or None."""
  try:
    message = cbor2.loads(data)
    if encode(message) != data:
      return "the encoding is not deterministic, or has bytes after it"
    if message.tag != 18 or len(message.value) != 4:
      return "no COSE_Sign1"
    protected, unprotected, payload, signature = message.value
    header = cbor2.loads(protected)
    body = cbor2.loads(payload)
    if encode(header) != protected or encode(body) != payload:
      return "header or payload is not deterministic"
    if unprotected != {} or sorted(header) != [1, 3, 4, 15] or header[1] != -8:
      return "header"
    if header[3] != f"application/assay-{kind}+cbor":
      return "content type"
    claims = header[15]
    if sorted(claims) != [1, 2, 6] or claims[6] != body[5] // 10**9:
      return "claims"
    if base58(claims[1].removeprefix("did:key:z"))[:2] != b"\xed\x01":
      return "issuer"
    if claims[2] != (body[8].hex() if 8 in body else claims[1]):
      return "subject"
    if body[1] != 1 or len(body[3]) != 16:
      return "common fields"
    signed = encode(["Signature1", protected, b"", payload])
    if hashlib.sha256(signed).hexdigest() != claimed_id:
      return "id"
    Ed25519PublicKey.from_public_bytes(header[4]).verify(signature, signed)
  except InvalidSignature:
    return "signature"
  except Exception as error:  # whatever a decoder makes of tampered bytes is a refusal
    return f"{type(error).__name__}: {error}"
  return None


def main():
  lines = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
  failures = 0
  if len(lines) != KINDS or len({line.split()[0] for line in lines}) != KINDS:
    print(f"{len(lines)} statements, expected {KINDS}")
    failures += 1
  for line in lines:
    kind, text, claimed_id = line.split()
    data = bytes.fromhex(text)
    wrong = judge(kind, data, claimed_id)
    if wrong:
      print(f"{kind}: {wrong}")
      failures += 1
    # About 150 places in each, and always the last byte of the payload and of the signature.
    for at in [*range(0, len(data), len(data) // 150 + 1), len(data) - 67, len(data) - 1]:
      tampered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
      if judge(kind, tampered, claimed_id) is None:
        print(f"{kind}: byte {at} can be changed")
        failures += 1
    if judge(kind, data + b"\0", claimed_id) is None or judge(kind, data, "0" * 64) is None:
      print(f"{kind}: trailing byte or wrong id accepted")
      failures += 1
  print(f"{len(lines)} statements judged, {failures} failures")
  return 1 if failures else 0


if __name__ == "__main__":
  sys.exit(main())
