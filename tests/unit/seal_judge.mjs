// Reads proto/seal/vectors.json with WebCrypto alone, as a buyer's web page does, and checks
// that altered bytes are refused. Exit 77: this machine cannot run it.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

const subtle = webcrypto?.subtle;
const RECORD = 65536;
const hex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const text = (s) => new TextEncoder().encode(s);
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

function skip(why) {
	console.log(`SKIPPED: ${why}`);
	process.exit(77);
}

function fail(why) {
	console.error(why);
	process.exit(1);
}

if (!subtle)
	skip("this Node has no WebCrypto");

// The few deterministic CBOR forms that are needed here (RFC 8949, 4.2.1).
const bstr = (b) => join(b.length < 24 ? [0x40 + b.length] : [0x58, b.length], b);
const tstr = (s) => join([0x60 + s.length], text(s));
const aad = (label, request, subject) => join([0x83], tstr(label), bstr(request), bstr(subject));

async function gcmOpen(key, iv, data, additionalData)
{
	const k = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
	return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv, additionalData }, k, data));
}

async function hkdf(secret, info)
{
	const k = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
	const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
	return new Uint8Array(await subtle.deriveBits(how, k, 256));
}

async function contentOpen(key, request, subject, sealed)
{
	const out = [];
	const rest = sealed.subarray(7);
	const n = Math.max(1, Math.ceil(rest.length / (RECORD + 16)));

	for (let i = 0; i < n; i++) {
		const iv = new Uint8Array(12);

		iv.set(sealed.subarray(0, 7));
		new DataView(iv.buffer).setUint32(7, i);
		iv[11] = i === n - 1 ? 1 : 0;
		const part = rest.subarray(i * (RECORD + 16), (i + 1) * (RECORD + 16));
		out.push(await gcmOpen(key, iv, part, aad("assay-content-v1", request, subject)));
	}
	return join(...out);
}

async function smallOpen(purpose, key, request, subject, sealed)
{
	const sub = await hkdf(key, text(`assay ${purpose} v1`));
	return gcmOpen(sub, sealed.subarray(0, 12), sealed.subarray(12),
		aad(`assay-${purpose}-v1`, request, subject));
}

async function unwrap(wrapped, secret, request, scope, did)
{
	const head = hex("8344a101381ea120a301012004215820");

	if (wrapped.length !== 90 || Buffer.compare(wrapped.subarray(0, 16), head) ||
		wrapped[48] !== 0x58 || wrapped[49] !== 40)
		throw new Error("not a wrapped key");
	// X25519 private keys are imported as PKCS#8 (RFC 8410).
	const pkcs8 = join(hex("302e020100300506032b656e04220420"), secret);
	const own = await subtle.importKey("pkcs8", pkcs8, "X25519", false, ["deriveBits"]);
	const peer = await subtle.importKey("raw", wrapped.slice(16, 48), "X25519", false, []);
	const shared = await subtle.deriveBits({ name: "X25519", public: peer }, own, 256);
	const party = (b) => join([0x83], bstr(b), [0xf6, 0xf6]);
	const info = join([0x84, 0x24], party(request), party(did),
		[0x83, 0x19, 0x01, 0x00], bstr(hex("a101381e")), bstr(scope));
	const kek = await hkdf(shared, info);
	const k = await subtle.importKey("raw", kek, "AES-KW", false, ["unwrapKey"]);
	const key = await subtle.unwrapKey(
		"raw", wrapped.slice(50), k, "AES-KW", "AES-GCM", true, ["decrypt"]);
	return new Uint8Array(await subtle.exportKey("raw", key));
}

async function mustRefuse(what, call, ...rest)
{
	try {
		await call(...rest);
	} catch {
		return;
	}
	fail(`${what}: was opened and should have been refused`);
}

function mustEqual(what, got, expected)
{
	if (Buffer.compare(got, expected))
		fail(`${what}: got other bytes`);
}

const flipped = (b, i) => {
	const bad = b.slice();
	bad[i] ^= 1;
	return bad;
};

const v = JSON.parse(readFileSync(process.argv[2], "ascii"));
const [key, request, subject] = [v.key, v.request, v.subject].map(hex);

try {
	await subtle.generateKey("X25519", false, ["deriveBits"]);
} catch {
	skip("this Node's WebCrypto has no X25519");
}
for (const c of v.content.filter((one) => one.sealed)) {
	const sealed = hex(c.sealed);
	const plain = Uint8Array.from({ length: c.size }, (_, i) => i * 7 + (i >> 8));

	mustEqual(`content ${c.size}`, await contentOpen(key, request, subject, sealed), plain);
	await mustRefuse("request", contentOpen, key, subject, subject, sealed);
	for (let i = 0; i < sealed.length; i++)
		await mustRefuse("content", contentOpen, key, request, subject, flipped(sealed, i));
}
for (const c of v.small) {
	const sealed = hex(c.sealed);

	mustEqual(c.purpose, await smallOpen(c.purpose, key, request, subject, sealed), hex(c.plain));
	await mustRefuse(c.purpose, smallOpen, c.purpose, key, request, request, sealed);
	await mustRefuse(c.purpose, smallOpen, c.purpose, key, request, subject, flipped(sealed, 20));
}
const [secret, did, wrapped] =
	[v.wrap.recipient_secret, v.wrap.recipient_did, v.wrap.wrapped].map(hex);

mustEqual("wrap", await unwrap(wrapped, secret, request, subject, did), key);
await mustRefuse("secret", unwrap, wrapped, key, request, subject, did);
await mustRefuse("did", unwrap, wrapped, secret, request, subject, request);
for (let i = 0; i < wrapped.length; i++)
	await mustRefuse(`wrap, byte ${i}`, unwrap, flipped(wrapped, i), secret, request, subject, did);
console.log("ok");
