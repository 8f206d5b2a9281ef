#include "broker/log/log.h"

void log_init(struct log *log)
{
	*log = (struct log){ 0 };
}

static bool log_bit(uint64_t size, unsigned height)
{
	return (size >> height & 1) != 0;
}

int log_load(struct log *log, struct span state)
{
	uint64_t size = 0;
	const uint8_t *p;

	if (state.n < 8)
		return -EINVAL;
	for (size_t i = 0; i < 8; i++)
		size = size << 8 | state.p[i];
	if (size > LOG_SIZE_MAX || state.n != 8 + 32 * (size_t)__builtin_popcountll(size))
		return -EINVAL;
	log_init(log);
	log->size = size;
	p = state.p + 8;
	for (unsigned h = LOG_HEIGHTS; h-- > 0;) {
		if (!log_bit(size, h))
			continue;
		memcpy(log->frontier[h].b, p, sizeof(log->frontier[h].b));
		p += sizeof(log->frontier[h].b);
	}
	return 0;
}

int log_append(struct log *log, const struct id *leaf, uint64_t *ret_index)
{
	if (log->sealed || log->n_batch == LOG_BATCH_MAX)
		return -ENOBUFS;
	if (log->size + log->n_batch >= LOG_SIZE_MAX)
		return -EOVERFLOW;
	log->nodes[log->n_batch] = *leaf;
	*ret_index = log->size + log->n_batch++;
	return 0;
}

uint64_t log_size(const struct log *log)
{
	return log->size + log->n_batch;
}

/* The complete node of that height and index: new, or the one old node that can still be a sibling.
 */
static const struct id *log_complete(const struct log *log, unsigned height, uint64_t index)
{
	uint64_t old = log->size >> height;

	if (index >= old)
		return &log->nodes[log->first[height] + (index - old)];
	assert(index + 1 == old && log_bit(log->size, height));
	return &log->frontier[height];
}

/* Is there an incomplete subtree at the right end below that height? */
static bool log_has_edge(uint64_t size, unsigned height)
{
	return (size & ((UINT64_C(1) << height) - 1)) != 0;
}

void log_seal(struct log *log)
{
	uint64_t end = log_size(log);

	if (log->sealed)
		return;
	log->first[0] = 0;
	log->first[1] = (uint16_t)log->n_batch;
	for (unsigned h = 1; h < LOG_HEIGHTS; h++) {
		uint16_t at = log->first[h];

		for (uint64_t i = log->size >> h; i < end >> h; i++)
			log->nodes[at++] = merkle_node(log_complete(log, h - 1, 2 * i),
				log_complete(log, h - 1, 2 * i + 1));
		assert(at <= LOG_NODES_MAX);
		log->first[h + 1] = at;
	}
	for (unsigned h = 0; h < LOG_HEIGHTS; h++) {
		const struct id *left;

		if (!log_bit(end, h)) {
			log->edge[h + 1] = log->edge[h];
			continue;
		}
		left = log_complete(log, h, (end >> h) - 1);
		log->edge[h + 1] = log_has_edge(end, h) ? merkle_node(left, &log->edge[h]) : *left;
	}
	log->root = end == 0 ? merkle_empty() : log->edge[LOG_HEIGHTS];
	log->sealed = true;
}

void log_next(struct log *log)
{
	uint64_t end = log_size(log);

	assert(log->sealed);
	for (unsigned h = 0; h < LOG_HEIGHTS; h++)
		log->frontier[h] = log_bit(end, h) ? *log_complete(log, h, (end >> h) - 1)
						   : (struct id){ 0 };
	log->size = end;
	log->n_batch = 0;
	log->sealed = false;
}

struct id log_root(const struct log *log)
{
	assert(log->sealed);
	return log->root;
}

size_t log_proof(const struct log *log, size_t i, struct id ret_path[static MERKLE_PROOF_MAX])
{
	uint64_t index = log->size + i;
	uint64_t end = log_size(log);
	size_t n = 0;

	assert(log->sealed && i < log->n_batch);
	for (unsigned h = 0; (end - 1) >> h != 0; h++) {
		uint64_t sibling = index >> h ^ 1;

		if (sibling < end >> h)
			ret_path[n++] = *log_complete(log, h, sibling);
		else if (sibling == end >> h && log_has_edge(end, h))
			ret_path[n++] = log->edge[h];
	}
	return n;
}

const struct id *log_nodes(
	const struct log *log, unsigned height, uint64_t *ret_first, size_t *ret_n)
{
	assert(log->sealed && height < LOG_HEIGHTS);
	*ret_first = log->size >> height;
	*ret_n = (size_t)(log->first[height + 1] - log->first[height]);
	return &log->nodes[log->first[height]];
}

void log_save(const struct log *log, struct buf *out)
{
	uint64_t end = log_size(log);

	assert(log->sealed);
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_byte(out, (uint8_t)(end >> shift));
	for (unsigned h = LOG_HEIGHTS; h-- > 0;)
		if (log_bit(end, h))
			buf_put(out, log_complete(log, h, (end >> h) - 1)->b, 32);
}

void log_check(const struct log *log)
{
	uint64_t end = log_size(log);

	assert(log->n_batch <= LOG_BATCH_MAX && end <= LOG_SIZE_MAX);
	for (unsigned h = 0; h < LOG_HEIGHTS; h++) {
		assert(log_bit(log->size, h) || id_is_zero(&log->frontier[h]));
		if (log->sealed)
			assert((uint64_t)(log->first[h + 1] - log->first[h]) ==
				(end >> h) - (log->size >> h));
	}
}
