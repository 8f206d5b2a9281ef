#include "buyer-sdk/src/market.h"

#include "proto/base/text.h"
#include "proto/os/file.h"

#include <jansson.h>
#include <stdio.h>

static int read_contact(json_t *object, struct contact *ret_contact)
{
	_cleanup_(freep) char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	return text ? contact_parse(SPAN_STR(text), ret_contact) : -EBADMSG;
}

static bool copy_text(json_t *value, char *out, size_t cap)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= cap || !*text)
		return false;
	strcpy(out, text);
	return true;
}

static int parse(json_t *root, struct market *ret_market)
{
	struct market m = { 0 };
	json_t *verifiers = json_object_get(root, "verifiers");
	json_t *entry;
	size_t i;

	if (json_object_size(root) != 5 ||
		!copy_text(json_object_get(root, "name"), m.name, sizeof(m.name)) ||
		!copy_text(json_object_get(root, "asset"), m.asset, sizeof(m.asset)) ||
		read_contact(json_object_get(root, "broker"), &m.broker) < 0 ||
		read_contact(json_object_get(root, "escrow"), &m.escrow) < 0 ||
		json_array_size(verifiers) < 1 || json_array_size(verifiers) > POOL_MAX)
		return -EBADMSG;
	json_array_foreach(verifiers, i, entry)
	{
		const char *text = json_string_value(entry);

		if (!text || did_parse(SPAN_STR(text), &m.verifiers[m.n_verifiers++]) < 0)
			return -EBADMSG;
	}
	*ret_market = m;
	return 0;
}

int market_read(const char *path, struct market *ret_market)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	_cleanup_(json_decrefp) json_t *root = NULL;
	json_error_t error;
	size_t n;
	int r = file_read(path, MARKET_FILE_MAX, &bytes, &n);

	if (r < 0)
		return r;
	root = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, &error);
	return root && json_is_object(root) ? parse(root, ret_market) : -EBADMSG;
}

int market_locate(const assay_options_t *options, struct market_paths *ret_paths)
{
	const char *dir = options->dir ? options->dir : getenv("ASSAY_DIR");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char config[MARKET_PATH_MAX];
	struct market_paths p;
	int n;
	int k;

	if (xdg && *xdg == '/')
		n = snprintf(config, sizeof(config), "%s/assay", xdg);
	else
		n = snprintf(config, sizeof(config), "%s/.config/assay", home ? home : "");
	if (n < 0 || (size_t)n >= sizeof(config))
		return -ENAMETOOLONG;
	if (!dir || !*dir)
		dir = config;
	n = options->market_file ? snprintf(p.market, sizeof(p.market), "%s", options->market_file)
				 : snprintf(p.market, sizeof(p.market), "%s/market.json", dir);
	k = options->keys_dir ? snprintf(p.keys, sizeof(p.keys), "%s", options->keys_dir)
			      : snprintf(p.keys, sizeof(p.keys), "%s/buyer/keys", dir);
	if (n < 0 || (size_t)n >= sizeof(p.market) || k < 0 || (size_t)k >= sizeof(p.keys))
		return -ENAMETOOLONG;
	*ret_paths = p;
	return 0;
}
