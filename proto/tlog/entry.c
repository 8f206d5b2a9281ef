#include "proto/tlog/entry.h"

#include "proto/cbor/cbor.h"
#include "proto/tlog/merkle.h"

size_t entry_encode(const struct entry *entry, uint8_t out[static ENTRY_MAX])
{
	struct buf b = buf_over(out, ENTRY_MAX);

	cbor_put_array(&b, 2);
	cbor_put_uint(&b, entry->type);
	cbor_put_bytes(&b, SPAN_OF(entry->id.b));
	assert(buf_ok(&b));
	return b.n;
}

static bool entry_type_known(uint64_t type)
{
	switch ((enum entry_type)type) {
	case ENTRY_EVIDENCE:
	case ENTRY_KEYS:
	case ENTRY_SETTLEMENT:
		return type <= ENTRY_SETTLEMENT;
	}
	return false;
}

enum refusal entry_decode(struct span bytes, struct entry *ret_entry)
{
	enum refusal refusal = cbor_check(bytes);
	struct cbor_reader r = cbor_over(bytes);
	struct cbor_item array;
	struct cbor_item type;
	struct cbor_item id;

	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = cbor_read(&r, &array);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (array.type != CBOR_ARRAY || array.value != 2)
		return REFUSED_RECEIPT_INVALID;
	refusal = cbor_read(&r, &type);
	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = cbor_read(&r, &id);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (type.type != CBOR_UINT || !entry_type_known(type.value) || id.type != CBOR_BYTES ||
		id.string.n != sizeof(ret_entry->id.b))
		return REFUSED_RECEIPT_INVALID;
	ret_entry->type = (enum entry_type)type.value;
	memcpy(ret_entry->id.b, id.string.p, sizeof(ret_entry->id.b));
	return REFUSED_NOT;
}

struct id entry_leaf(const struct entry *entry)
{
	uint8_t bytes[ENTRY_MAX];
	size_t n = entry_encode(entry, bytes);

	return merkle_leaf(SPAN(bytes, n));
}
