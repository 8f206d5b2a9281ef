#pragma once
/* From the operator's words to what the core offers and what the worker captures with. */
#include "sensor-node/capture.h"
#include "sensor-node/config.h"

#define OFFERINGS_REMEMBERED 256 /* assignments kept for each capture at once */

static_assert(NODE_CAPTURES_MAX * OFFERINGS_REMEMBERED <= NODE_CAPACITY_MAX, "the core keeps them");

/*
 * Fills the offerings, the limits and devices[i] for offering i: the camera first, then the
 * instruments. camera may be NULL. The spans and texts point into config, which must outlive both;
 * it has passed config_check().
 */
void offerings_build(const struct config *config, const struct did *broker,
	const struct did *escrow, const struct camera *camera, struct node_config *ret_node,
	struct capture_options *ret_capture);
