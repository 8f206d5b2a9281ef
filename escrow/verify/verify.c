#include "escrow/verify/verify.h"

#include "escrow/verify/checks.h"
#include "escrow/verify/gates.h"

#include <stdlib.h>

enum tier verify_tier(int64_t source)
{
	if (source == SOURCE_LIVE)
		return TIER_LIVE_CLAIMED;
	if (source == SOURCE_REPLAY)
		return TIER_REPLAY;
	return TIER_SYNTHETIC;
}

void verify_figure(struct check_result *result, const char *name, int64_t value, int64_t exponent,
	struct span unit)
{
	assert(result->n_figures < FIGURES_MAX);
	result->figures[result->n_figures++] = (struct figure){
		.present = true,
		.name = SPAN_STR(name),
		.value = value,
		.exponent = exponent,
		.unit = unit,
	};
}

int verify_run(const struct verify_input *input, struct verify_output *ret_output)
{
	memset(ret_output, 0, sizeof(*ret_output));

	int r = gates_run(input, ret_output);

	if (r < 0) {
		verify_output_deinit(ret_output);
		return r;
	}
	ret_output->tier = TIER_SYNTHETIC;
	if (input->evidence && input->evidence->kind == STATEMENT_EVIDENCE)
		ret_output->tier = verify_tier(input->evidence->body.evidence.source);
	if (r > 0)
		ret_output->outcome = CHECK_FAIL;
	else
		checks_run(input, ret_output);
	return 0;
}

void verify_output_deinit(struct verify_output *output)
{
	if (output->plain)
		explicit_bzero(output->plain, output->n_plain);
	free(output->plain);
	explicit_bzero(output, sizeof(*output));
}
