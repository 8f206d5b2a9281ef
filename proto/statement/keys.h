#pragma once
/*
 * The numbers of all map keys, given once and never reused: in signed statements, in messages, in
 * bundles and in payloads. market.cddl names the same numbers; a test holds the two together.
 * Negative keys would be critical (statements.md): none is in use yet.
 */

/* X(number, name) */
#define STATEMENT_KEYS(X) \
	X(1, version) \
	X(2, market) \
	X(3, salt) X(4, audience) X(5, at_ns) X(6, expires_ns) X(8, request) X(9, assignment) X( \
		10, evidence) X(11, hold) X(12, slot) X(13, attempt) X(14, node) X(15, \
		asset) X(16, price_micros) X(17, kind) X(18, challenge) X(19, until_ns) X(20, \
		outcome) X(21, checks) X(22, verdicts) X(23, earmark) X(24, working_key) X(25, \
		working_alg) X(26, curve_key) X(27, encryption_key) X(28, valid_from_ns) X(29, \
		valid_until_ns) X(30, replaces) X(31, revokes) X(32, recovery) X(33, key) X(34, \
		since_ns) X(35, carrier) X(36, protocol) X(37, role) X(38, message_max) X(40, \
		revision) X(41, schema) X(42, cell) X(43, lat_e7) X(44, lon_e7) X(45, \
		radius_m) X(46, prices) X(47, name) X(48, brokers) X(49, escrows) X(50, \
		verifiers) X(51, accepts) X(52, t_dispute_max_ms) X(53, \
		assign_without_asking) X(54, bond_micros) X(55, payout_to) X(56, policy) X(57, \
		sources) X(60, parameters) X(61, area) X(62, from_ns) X(63, to_ns) X(64, \
		freshness_ms) X(65, purpose) X(66, persons_in_view) X(67, slots) X(68, \
		quorum) X(69, broker) X(70, escrow) X(71, max_total_micros) X(72, fee_ppm) X(73, \
		verifier_ppm) X(74, attempt_fee_micros) X(75, attempts) X(76, decay) X(77, \
		pool) X(78, panel_n) X(79, panel_k) X(80, t_fund_ms) X(81, t_open_ms) X(82, \
		t_commit_ms) X(83, t_deliver_ms) X(84, t_verify_ms) X(85, t_dispute_ms) X(86, \
		t_arbitrate_ms) X(87, \
		on_silence) X(88, refund_to) X(89, retention_s) X(90, soft_deadline_ms) X(91, \
		ppm_per_s) X(92, floor_micros) X(93, agree_k) X(94, \
		tolerance) X(95, window) X(100, \
		width) X(101, height) X(102, \
		unit) X(103, \
		low) X(104, high) X(105, exponent) X(106, quantity) X(107, channel) X(110, \
		id) X(111, check_version) X(112, binding) X(113, \
		result) X(114, code) X(115, figures) X(116, value) X(120, amounts) X(121, \
		amount_micros) X(122, draw_commitment) X(123, sequence) X(124, \
		previous) X(125, account) X(126, account_purpose) X(130, offering) X(131, \
		bid) X(132, checkpoint) X(133, commit_by_ns) X(134, deliver_by_ns) X(135, \
		reason) X(136, offering_bytes) X(140, start_ns) X(141, end_ns) X(142, \
		uncertainty_ns) X(143, source) X(144, device) X(145, \
		calibration) X(146, \
		pipeline) X(147, redactions) X(148, payload) X(149, type) X(150, size) X(151, \
		plain_digest) X(152, \
		cipher_digest) X(153, algorithm) X(154, \
		wrapped_key) X(155, claims) X(156, segment) X(157, final) X(158, command) X(159, \
		read_back) X(160, panel) X(161, \
		engine) X(162, log_view) X(163, \
		sealed_digest) X(164, draw_secret) X(165, recipient) X(166, basis) X(167, \
		lines) X(168, draw) X(169, tier) X(170, \
		target) X(171, side) X(172, grounds) X(173, proofs) X(174, ruling_of) X(175, \
		beneficiary) X(176, dispute) X(180, topic) X(181, period_ms) X(182, gap) X(183, \
		key_epoch) X(184, interval) X(185, digest) X(186, feed) \
		X(190, plain_salt) X(191, accuracy_m) X(192, mantissa) X(193, raw) X( \
			194, identity) X(195, error_queue) X(200, message) X(201, number) \
			X(202, reply_to) X(203, state) X(204, text) X(205, offset) X(206, blob) X( \
				207, note) X(208, receipt) X(209, wrapped) X(210, \
				statements) X(211, history) X(212, operation) X(213, balances) \
				X(214, cursor) X(215, epoch) X(216, nodes) X(217, requests) \
					X(218, elapsed_ms) X(219, connected) X(220, content_key) \
						X(221, ciphertext) X(222, proofs_of_log) \
							X(223, seq) X(224, from) X(225, to) \
								X(226, from_purpose) X(227, place)

enum statement_key {
#define X(number, name) KEY_##name = (number),
	STATEMENT_KEYS(X)
#undef X
};
