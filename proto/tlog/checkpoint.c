#include "proto/tlog/checkpoint.h"

#include "proto/base/text.h"

#include <inttypes.h>
#include <sodium.h>

#define CHECKPOINT_ROOT 44 /* characters of 32 bytes in base64 */

void checkpoint_write(const struct checkpoint *checkpoint, struct buf *out)
{
	char root[CHECKPOINT_ROOT + 1];

	sodium_bin2base64(root, sizeof(root), checkpoint->root.b, sizeof(checkpoint->root.b),
		sodium_base64_VARIANT_ORIGINAL);
	buf_put(out, checkpoint->origin.p, checkpoint->origin.n);
	buf_printf(out, "\n%" PRIu64 "\n%s\n", checkpoint->size, root);
}

static bool checkpoint_line(struct span *rest, struct span *ret_line)
{
	const uint8_t *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);

	if (end == NULL)
		return false;
	*ret_line = SPAN(rest->p, (size_t)(end - rest->p));
	*rest = SPAN(end + 1, rest->n - ret_line->n - 1);
	return true;
}

static bool checkpoint_size(struct span digits, uint64_t *ret_size)
{
	uint64_t size = 0;

	if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0'))
		return false;
	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9' ||
			__builtin_mul_overflow(size, UINT64_C(10), &size) ||
			__builtin_add_overflow(size, (uint64_t)(digits.p[i] - '0'), &size))
			return false;
	}
	*ret_size = size;
	return true;
}

static bool checkpoint_root(struct span text, struct id *ret_root)
{
	char again[CHECKPOINT_ROOT + 1];
	struct id root;
	size_t n;

	if (text.n != CHECKPOINT_ROOT ||
		sodium_base642bin(root.b, sizeof(root.b), (const char *)text.p, text.n, NULL, &n,
			NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
		n != sizeof(root.b))
		return false;
	sodium_bin2base64(again, sizeof(again), root.b, n, sodium_base64_VARIANT_ORIGINAL);
	if (!span_is(text, again))
		return false;
	*ret_root = root;
	return true;
}

enum refusal checkpoint_parse(struct span text, struct checkpoint *ret_checkpoint)
{
	struct checkpoint checkpoint;
	struct span rest = text;
	struct span size;
	struct span root;

	if (!checkpoint_line(&rest, &checkpoint.origin) || !checkpoint_line(&rest, &size) ||
		!checkpoint_line(&rest, &root) || rest.n != 0)
		return REFUSED_RECEIPT_INVALID;
	if (checkpoint.origin.n == 0 || checkpoint.origin.n > NOTE_NAME_MAX ||
		!utf8_valid(checkpoint.origin) || !checkpoint_size(size, &checkpoint.size) ||
		!checkpoint_root(root, &checkpoint.root))
		return REFUSED_RECEIPT_INVALID;
	*ret_checkpoint = checkpoint;
	return REFUSED_NOT;
}

enum refusal checkpoint_open(
	struct span note, const struct note_key *key, struct checkpoint *ret_checkpoint)
{
	struct checkpoint checkpoint;
	struct span text;
	enum refusal refusal = note_verify(note, key, 1, &text, NULL);

	if (refusal == REFUSED_NOT)
		refusal = checkpoint_parse(text, &checkpoint);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (!span_is(checkpoint.origin, key->name))
		return REFUSED_RECEIPT_INVALID;
	*ret_checkpoint = checkpoint;
	return REFUSED_NOT;
}
