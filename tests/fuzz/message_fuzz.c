#include "tests/fuzz/fuzz.h"

#include "proto/statement/message.h"

static void on_keys(void *ctx, const struct statement *keys)
{
	FUZZ_PROMISE(keys->kind == STATEMENT_KEYS_OF);
	++*(size_t *)ctx;
}

/* An empty keyring verifies nothing but what came with its keys, and opening twice agrees. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct opened opened;
	static uint8_t bytes[MESSAGE_MAX];
	struct keyring *keyring = keyring_new(8);
	struct buf out = BUF(bytes);
	size_t n_keys = 0;

	FUZZ_PROMISE(keyring);

	enum refusal refusal = message_open(SPAN(data, n), keyring, on_keys, &n_keys, &opened);

	FUZZ_PROMISE(opened.n_statements <= opened.message.n_statements);
	FUZZ_PROMISE(opened.message.number >= 0);
	if (refusal == REFUSED_NOT) {
		FUZZ_PROMISE(opened.n_statements == 0 || n_keys > 0);
		for (size_t i = 0; i < opened.n_statements; i++)
			FUZZ_PROMISE(keyring_find(keyring, &opened.statements[i].issuer));
		FUZZ_PROMISE(message_encode(&opened.message, &out));
		n_keys = 0;
		FUZZ_PROMISE(message_open(buf_span(&out), keyring, on_keys, &n_keys, &opened) ==
			     REFUSED_NOT);
		FUZZ_PROMISE(n_keys == 0);
	}
	keyring_free(keyring);
	return 0;
}
