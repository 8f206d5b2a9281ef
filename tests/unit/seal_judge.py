"""Judges proto/seal/vectors.json with an implementation that shares no code with the project's.

The C test proves that the project's bytes are those of the vectors; this proves that somebody else
reads and refuses them as promised. `--write FILE` makes the vectors anew, from this side.
"""

import hashlib
import json
import sys

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

RECORD = 65536
SMALL = {
    "claims": ("assay claims v1", "assay-claims-v1"),
    "digest": ("assay digest v1", "assay-digest-v1"),
}


class Refused(Exception):
    pass


def payload(n):
    """The payloads of the vectors: byte i is 7i + i/256 modulo 256."""
    return bytes((i * 7 + (i >> 8)) & 0xFF for i in range(n))


def aad(label, request, subject):
    return cbor2.dumps([label, request, subject], canonical=True)


def hkdf(secret, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def gcm_open(key, nonce, sealed, data):
    try:
        return AESGCM(key).decrypt(nonce, sealed, data)
    except (InvalidTag, ValueError) as error:
        raise Refused(str(error)) from error


def content_seal(key, nonce, request, subject, plain):
    data = aad("assay-content-v1", request, subject)
    parts = [plain[i : i + RECORD] for i in range(0, len(plain), RECORD)] or [b""]
    out = nonce
    for i, part in enumerate(parts):
        iv = nonce + i.to_bytes(4, "big") + bytes([i == len(parts) - 1])
        out += AESGCM(key).encrypt(iv, part, data)
    return out


def content_open(key, request, subject, sealed):
    data = aad("assay-content-v1", request, subject)
    nonce, rest = sealed[:7], sealed[7:]
    parts = [rest[i : i + RECORD + 16] for i in range(0, len(rest), RECORD + 16)] or [b""]
    out = b""
    for i, part in enumerate(parts):
        iv = nonce + i.to_bytes(4, "big") + bytes([i == len(parts) - 1])
        out += gcm_open(key, iv, part, data)
    return out


def small_open(purpose, key, request, subject, sealed):
    info, label = SMALL[purpose]
    return gcm_open(hkdf(key, info.encode()), sealed[:12], sealed[12:], aad(label, request, subject))


def kek(secret, public, request, scope, recipient, protected):
    shared = X25519PrivateKey.from_private_bytes(secret).exchange(
        X25519PublicKey.from_public_bytes(public)
    )
    context = [-5, [request, None, None], [recipient, None, None], [256, protected, scope]]
    return hkdf(shared, cbor2.dumps(context, canonical=True))


def unwrap(wrapped, secret, request, scope, recipient):
    try:
        protected, unprotected, key = cbor2.loads(wrapped)
        cose_key = unprotected[-1]
        if cbor2.loads(protected) != {1: -31} or cose_key[1] != 1 or cose_key[-1] != 4:
            raise Refused("not ECDH-ES+A256KW with X25519")
        return aes_key_unwrap(
            kek(secret, cose_key[-2], request, scope, recipient, protected), key
        )
    except (InvalidUnwrap, ValueError, TypeError, KeyError, cbor2.CBORDecodeError) as error:
        raise Refused(str(error)) from error


def public_key(secret):
    return (
        X25519PrivateKey.from_private_bytes(secret)
        .public_key()
        .public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    )


def write(path):
    seed = lambda text: hashlib.sha256(text.encode()).digest()
    key, request, subject = seed("content key"), seed("request"), seed("subject")
    nonce, small_nonce = seed("nonce")[:7], seed("small nonce")[:12]
    vectors = {
        "about": "payload byte i = (7i + floor(i/256)) mod 256; hex; see seal.h",
        "key": key.hex(),
        "request": request.hex(),
        "subject": subject.hex(),
        "content": [],
        "small": [],
    }
    for n in (0, 1, 100, RECORD - 1, RECORD, RECORD + 1, 2 * RECORD, 200000):
        sealed = content_seal(key, nonce, request, subject, payload(n))
        case = {"size": n, "nonce": nonce.hex(), "sha256": hashlib.sha256(sealed).hexdigest()}
        if n <= 100:
            case["sealed"] = sealed.hex()
        vectors["content"].append(case)
    for purpose, (info, label) in SMALL.items():
        plain = payload(32 if purpose == "digest" else 77)
        sealed = small_nonce + AESGCM(hkdf(key, info.encode())).encrypt(
            small_nonce, plain, aad(label, request, subject)
        )
        vectors["small"].append(
            {"purpose": purpose, "plain": plain.hex(), "nonce": small_nonce.hex(), "sealed": sealed.hex()}
        )
    secret, ephemeral, recipient = seed("recipient secret"), seed("ephemeral"), seed("did")
    protected = cbor2.dumps({1: -31}, canonical=True)
    wrapped_key = aes_key_wrap(
        kek(ephemeral, public_key(secret), request, subject, recipient, protected), key
    )
    x = public_key(ephemeral)
    wrapped = cbor2.dumps([protected, {-1: {1: 1, -1: 4, -2: x}}, wrapped_key], canonical=True)
    vectors["wrap"] = {
        "recipient_secret": secret.hex(),
        "recipient_public": public_key(secret).hex(),
        "ephemeral_secret": ephemeral.hex(),
        "recipient_did": recipient.hex(),
        "wrapped": wrapped.hex(),
    }
    with open(path, "w", encoding="ascii") as out:
        json.dump(vectors, out, indent=1)
        out.write("\n")


def must_refuse(what, call, *arguments):
    try:
        call(*arguments)
    except Refused:
        return
    sys.exit(f"{what}: was opened and should have been refused")


def must_equal(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: got {got[:40]!r}..., expected {expected[:40]!r}...")


def flips(data):
    """Every byte of a short thing with one bit turned."""
    for i in range(len(data)):
        yield data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]


def judge(path):
    with open(path, encoding="ascii") as file:
        v = json.load(file)
    key, request, subject = (bytes.fromhex(v[k]) for k in ("key", "request", "subject"))
    other = bytes(32)
    for case in v["content"]:
        what = f"content of {case['size']} bytes"
        plain = payload(case["size"])
        sealed = content_seal(key, bytes.fromhex(case["nonce"]), request, subject, plain)
        if "sealed" in case:
            sealed = bytes.fromhex(case["sealed"])
        must_equal(what, hashlib.sha256(sealed).hexdigest(), case["sha256"])
        must_equal(what, content_open(key, request, subject, sealed), plain)
        must_refuse(what + ", wrong key", content_open, other, request, subject, sealed)
        must_refuse(what + ", wrong request", content_open, key, other, subject, sealed)
        must_refuse(what + ", wrong assignment", content_open, key, request, other, sealed)
        must_refuse(what + ", cut", content_open, key, request, subject, sealed[:-1])
        must_refuse(what + ", longer", content_open, key, request, subject, sealed + b"\0")
        if case["size"] > RECORD:
            end = 7 + RECORD + 16
            must_refuse(what + ", one record", content_open, key, request, subject, sealed[:end])
        if len(sealed) < 200:
            for bad in flips(sealed):
                must_refuse(what + ", bit flipped", content_open, key, request, subject, bad)
    for case in v["small"]:
        purpose = case["purpose"]
        plain, sealed = bytes.fromhex(case["plain"]), bytes.fromhex(case["sealed"])
        must_equal(purpose, small_open(purpose, key, request, subject, sealed), plain)
        must_refuse(purpose, small_open, purpose, key, subject, request, sealed)
        wrong = "claims" if purpose == "digest" else "digest"
        must_refuse("purpose", small_open, wrong, key, request, subject, sealed)
        for bad in flips(sealed):
            must_refuse(purpose + ", bit flipped", small_open, purpose, key, request, subject, bad)
    wrap = {name: bytes.fromhex(text) for name, text in v["wrap"].items()}
    secret, did, wrapped = wrap["recipient_secret"], wrap["recipient_did"], wrap["wrapped"]
    must_equal("public key", public_key(secret), wrap["recipient_public"])
    must_equal("canonical", cbor2.dumps(cbor2.loads(wrapped), canonical=True), wrapped)
    must_equal("wrap", unwrap(wrapped, secret, request, subject, did), key)
    must_refuse("recipient's key", unwrap, wrapped, key, request, subject, did)
    must_refuse("request", unwrap, wrapped, secret, other, subject, did)
    must_refuse("scope", unwrap, wrapped, secret, request, other, did)
    must_refuse("did", unwrap, wrapped, secret, request, subject, other)
    for i in range(50, len(wrapped)):
        bad = wrapped[:i] + bytes([wrapped[i] ^ 1]) + wrapped[i + 1 :]
        must_refuse("wrapped key", unwrap, bad, secret, request, subject, did)


if sys.argv[1] == "--write":
    write(sys.argv[2])
else:
    judge(sys.argv[1])
    print("ok")
