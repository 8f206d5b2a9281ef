#pragma once
/*
 * Waiting for a request with its progress on the terminal. It has no limit of time of its own: the
 * protocol ends every request, as long as the broker is there.
 */
#include "buyer-sdk/cli/cli.h"

#define FOLLOW_LOST_MS 30000 /* without a connection to the broker: unreachable */

/*
 * Until the request has ended. As assay_wait(), and ASSAY_UNREACHABLE after FOLLOW_LOST_MS without
 * the broker. ret_result may be set with any status; the caller frees it.
 */
_must_check_ assay_status_t follow_request(
	const struct cli *cli, assay_t *assay, const char *id, assay_result_t **ret_result);
