#pragma once
/*
 * Refusals: one name per rule that a request, a statement, a message or a file can break. They are
 * part of the game: they reach the peer as number, name and a sentence that says what to do. Faults
 * (I/O, memory) are negative errnos and never appear here. The numbers are on the wire: append
 * only.
 */
#include "proto/base/base.h"

/* X(number, NAME, "sentence") */
#define REFUSALS(X) \
	/* decoding */ \
	X(1, CBOR_TRUNCATED, "The CBOR ends early: send the whole item.") \
	X(2, CBOR_TRAILING, "There are bytes after the CBOR item: send exactly one item.") \
	X(3, CBOR_NOT_SHORTEST, \
		"An integer or length is not in its shortest form: encode as RFC 8949, 4.2.1.") \
	X(4, CBOR_INDEFINITE, "Indefinite lengths are not allowed: give the length.") \
	X(5, CBOR_UNSORTED, "Map keys are not in bytewise order: sort them by their encoding.") \
	X(6, CBOR_DUPLICATE_KEY, "A map key stands twice: give each key once.") \
	X(7, CBOR_FLOAT, "Floats are not allowed: send an integer and a decimal exponent.") \
	X(8, CBOR_SIMPLE, "Only false, true and null are allowed as simple values.") \
	X(9, CBOR_TAG, "This tag is not allowed here: leave it out.") \
	X(10, CBOR_DEPTH, "The nesting is deeper than 16 levels.") \
	X(11, CBOR_UTF8, "A text string is not valid UTF-8.") \
	X(12, CBOR_RANGE, "An integer is outside 64 bits.") \
	X(13, CBOR_MALFORMED, "The bytes are not well-formed CBOR.") \
	X(20, COSE_SHAPE, "Not a tagged COSE_Sign1 of four elements (RFC 9052, 4.2).") \
	X(21, COSE_HEADER, \
		"The protected header must hold alg, content type, kid and CWT claims, and nothing that is unknown.") \
	X(22, COSE_UNPROTECTED, "The unprotected header must be empty.") \
	X(23, COSE_ALGORITHM, "The algorithm is not one of EdDSA, Ed25519, ES256, ESP256.") \
	X(24, COSE_SIGNATURE, \
		"The signature does not verify: sign the Sig_structure with the key that kid names.") \
	X(30, STATEMENT_TOO_LARGE, "A statement is at most 65,535 bytes.") \
	X(31, STATEMENT_KIND, "The content type names no statement that is known here.") \
	X(32, STATEMENT_FIELD_MISSING, \
		"A required field is missing: see market.cddl for the statement's fields.") \
	X(33, STATEMENT_FIELD_TYPE, "A field has the wrong type: see market.cddl.") \
	X(34, STATEMENT_FIELD_RANGE, "A field is outside its range: see market.cddl.") \
	X(35, STATEMENT_CRITICAL_KEY, \
		"A critical field is not understood here: the peer speaks a newer version.") \
	X(36, STATEMENT_VERSION, \
		"The statement's version is not served: this market speaks version 1.") \
	X(37, STATEMENT_EXPIRED, "The statement has expired: make a new one.") \
	X(38, STATEMENT_FROM_FUTURE, "The statement's time lies in the future: set the clock.") \
	X(39, STATEMENT_AUDIENCE, \
		"The statement is meant for somebody else: name this broker and escrow as its audience.") \
	X(40, STATEMENT_ISSUER, "The statement is signed by the wrong party.") \
	X(41, STATEMENT_MARKET, "The statement belongs to another market.") \
	X(42, STATEMENT_TEXT, "A text field holds control characters.") \
	X(50, KEY_UNKNOWN, "The key that signed is not known: send the keys statement along.") \
	X(51, KEY_REVOKED, "The key that signed was revoked or replaced.") \
	X(52, KEY_NOT_VALID_YET, "The key that signed was not valid at that time.") \
	X(53, KEY_FILE_OPEN, \
		"The key file must be of mode 0600 in a directory of the program's own: chmod 0600 FILE, chmod 0700 DIR.") \
	/* connection */ \
	X(60, MESSAGE_SHAPE, "The message lacks what its type needs.") \
	X(61, MESSAGE_UNEXPECTED, "This message is not served here.") \
	X(62, GREETING_REQUIRED, "Send a hello with a signed greeting first.") \
	X(63, GREETING_CARRIER, "The greeting names another CURVE key than the connection's.") \
	X(64, PEER_LIMIT, "Too many peers are connected: try again later.") \
	X(65, PEER_BUSY, "Too much is in flight for this peer: wait for replies.") \
	X(66, NOT_A_PARTY, "Only the parties of the request may ask this.") \
	X(67, PROTOCOL_VERSION, "The peer speaks another protocol version.") \
	X(68, NOT_ADMITTED, "This market does not admit that key: ask its operator.") \
	/* request */ \
	X(80, REQUEST_EXPIRED, "The request has expired: post a new one.") \
	X(81, REQUEST_FROM_FUTURE, "The request's time lies in the future: set the clock.") \
	X(82, REQUEST_TOO_FAR, "The request ends too far in the future: shorten it to 30 days.") \
	X(83, PRICE_NOT_POSITIVE, "The price must be more than nothing.") \
	X(84, PRICE_OVERFLOW, "Price and fees together overflow: lower the price.") \
	X(85, MAX_TOTAL_TOO_SMALL, "max_total does not cover price, fee and verifiers: raise it.") \
	X(86, AREA_IMPOSSIBLE, \
		"The area is impossible: latitude within 90, longitude within 180 degrees, radius 1 m to 20,000 km.") \
	X(87, ASSET_UNKNOWN, "The escrow does not serve this currency.") \
	X(88, HOLD_TOO_SHORT, "The hold would end before its timeouts: move expires later.") \
	X(89, POOL_TOO_SMALL, "The verifier pool is smaller than the panels it must give.") \
	X(90, QUORUM_NOT_SERVED, \
		"Requests for several nodes are not served yet: ask for one slot.") \
	X(91, DECAY_NOT_SERVED, "Price decay is not served yet: leave decay out.") \
	X(92, BOND_NOT_SERVED, "Bonds are not served yet: leave the bond out.") \
	X(93, DISPUTE_NOT_SERVED, "Disputes are not served yet: ask for T_dispute 0.") \
	X(94, CHECK_UNKNOWN, \
		"A binding check is not known to the verifiers: see the checks they offer.") \
	X(95, PERSON_TRACKING, "Requests to find, follow or identify a person are refused.") \
	X(96, WINDOW_IMPOSSIBLE, "The time window is empty or already over.") \
	X(97, KIND_UNKNOWN, "No offering of this kind exists here.") \
	X(98, ATTEMPT_FEE_TOO_HIGH, "The attempt fee is more than the price.") \
	X(99, TOO_MANY_REQUESTS, "Too many requests are open: wait until some end.") \
	X(100, REQUEST_UNKNOWN, "No such request here.") \
	X(101, BIDS_NOT_SERVED, \
		"Sealed bids are not served yet: ask for assignment without asking.") \
	X(102, RETENTION_NOT_SERVED, \
		"The retention asked for is longer than the broker keeps payloads.") \
	X(103, TIMEOUT_RANGE, "A timeout is outside its range.") \
	/* money */ \
	X(120, EXCEEDS_AVAILABLE, "The balance is too small: deposit first.") \
	X(121, ACCOUNT_UNKNOWN, "There is no such account: deposit first.") \
	X(122, PLAY_MONEY_OFF, "This escrow does not give out play money.") \
	X(123, EXISTS_WITH_DIFFERENT_CONTENT, \
		"The same id was used for something else: take a new id.") \
	X(124, EARMARK_LIVE, "A node still works on this request: wait for its deadline.") \
	X(125, ALREADY_ENDED, "The request has already ended.") \
	X(126, CANCEL_TOO_LATE, "The evidence came before the cancel.") \
	X(127, HOLD_UNKNOWN, "There is no such hold.") \
	X(128, AMOUNT_RANGE, "The amount is out of range.") \
	X(129, ATTEMPTS_USED_UP, "All attempts are used up.") \
	X(130, ESCROW_UNREACHABLE, \
		"The escrow did not answer in time: nothing was paid; post again.") \
	/* node and evidence */ \
	X(140, NODE_DECLINED, "The node declined the assignment.") \
	X(141, NODE_KIND_NOT_OFFERED, "The node offers nothing of this kind.") \
	X(142, NODE_PRICE_TOO_LOW, "The price is below the node's.") \
	X(143, NODE_BUSY, "The node is busy.") \
	X(144, NODE_CAPTURE_FAILED, "The capture failed at the device.") \
	X(145, NODE_PARTY_NOT_ACCEPTED, \
		"The node does not accept this broker, escrow, verifier pool or check.") \
	X(146, NODE_OUT_OF_AREA, "The node is not within the area.") \
	X(147, NODE_SOURCE_REFUSED, "The node has no source of the kind that the request allows.") \
	X(148, NODE_DISK_FULL, "The node's disk is full.") \
	X(160, CHALLENGE_WRONG, "The challenge is not the assignment's.") \
	X(161, EVIDENCE_MISMATCH, "The evidence belongs to another request or assignment.") \
	X(162, EVIDENCE_LATE, "The evidence came after its deadline.") \
	X(163, EVIDENCE_TWICE, "Other evidence was already given for this assignment.") \
	X(164, PAYLOAD_DIGEST, "The payload does not match the digest in the evidence.") \
	X(165, PAYLOAD_SIZE, "The payload's size is not the stated one, or is over the limit.") \
	X(166, PAYLOAD_KEY, "The content key does not open the payload.") \
	X(167, DRAW_INVALID, "The draw does not name this verifier or this evidence.") \
	X(168, VERDICT_LATE, "The verdict came too late and is not counted.") \
	X(169, VERDICT_MISMATCH, "The verdict does not match request, node, challenge or panel.") \
	X(170, HOLD_MISMATCH, "The hold or earmark does not cover this assignment.") \
	X(171, RECEIPT_INVALID, "The receipt or checkpoint does not prove what it should.") \
	X(172, PAYLOAD_UNKNOWN, "That payload is not stored here.") \
	X(173, SEEN_BEFORE, "The same payload was sold before.") \
	X(174, CAPTURE_TIME, \
		"The capture lies before its challenge, or outside the window or freshness asked for.") \
	X(175, MEDIA_UNDECODABLE, "The payload does not decode fully as its media type.") \
	X(176, MEDIA_TOO_SMALL, "The picture is smaller than the request asks for.") \
	X(177, PLACE_OUTSIDE, "The claimed place is not within the request's area.") \
	X(178, VALUE_OUTSIDE, \
		"The measured value is not the quantity, unit or range that the request asks for.") \
	X(179, CHECK_NOT_RUN, "The verifier could not run this check.") \
	/* store, files, bundles */ \
	X(180, DISK_FULL, "The disk is full: nothing was accepted; free some space.") \
	X(181, BUNDLE_SHAPE, "Not an Assay bundle.") \
	X(182, BUNDLE_INCOMPLETE, "The bundle lacks a statement that it needs.") \
	X(183, SETTLEMENT_SUM, "The settlement's lines do not add up to the hold.") \
	X(184, DRAW_MISMATCH, "The draw does not follow from its seed.") \
	X(185, CHECKS_DIFFER, "Running the checks again gives another result than the verdict.")

enum refusal {
	REFUSED_NOT = 0,
#define X(number, name, sentence) REFUSED_##name = (number),
	REFUSALS(X)
#undef X
};

/* "CBOR_TRUNCATED"; "NONE" for 0 and "UNKNOWN" for numbers of a newer peer. Static text. */
const char *refusal_name(enum refusal code);
/* The sentence for people. Static text. */
const char *refusal_sentence(enum refusal code);
/* The number behind a name, or 0. */
enum refusal refusal_by_name(struct span name);
