#include "sensor-node/offerings.h"

#include "proto/core/rules.h"

static struct node_offering *offer(const struct config *config, struct node_config *node,
	const char *kind, int64_t price_micros, int64_t sources)
{
	struct node_offering *o = &node->offerings[node->n_offerings++];

	*o = (struct node_offering){
		.kind = SPAN_STR(kind),
		.price_micros = price_micros ? price_micros : config->price_micros,
		.asset = SPAN_STR(config->asset),
		.sources = sources,
		.place = config->place,
		.brokers = { node->broker },
		.n_brokers = 1,
		.escrows = { node->escrow },
		.n_escrows = 1,
		.n_verifiers = config->n_verifiers,
		.t_dispute_max_ms = config->t_dispute_max_ms,
		.policy = SPAN_STR(config->policy),
	};
	memcpy(o->verifiers, config->verifiers, sizeof(o->verifiers));
	return o;
}

static void accept_check(struct node_offering *o, const char *check)
{
	o->accepts[o->n_accepts++] = SPAN_STR(check);
}

static void offer_camera(const struct config *config, const struct camera *camera,
	struct node_config *node, struct capture_options *capture)
{
	const struct config_camera *c = &config->camera;
	struct node_offering *o = offer(
		config, node, KIND_CAMERA_STILL, c->price_micros, (int64_t)camera_kind(camera));

	/* Without a size of the operator's, a request for more fails at the capture. */
	o->parameters.width = c->max_width ? c->max_width : c->width;
	o->parameters.height = c->max_height ? c->max_height : c->height;
	accept_check(o, CHECK_DECODES);
	accept_check(o, CHECK_DIMENSIONS);
	accept_check(o, CHECK_PLACE);
	capture->devices[capture->n_devices++] = (struct capture_device){
		.kind = CAPTURE_PHOTO,
		.redactions = c->redactions,
		.max_width = (uint32_t)c->max_width,
		.max_height = (uint32_t)c->max_height,
	};
}

static void offer_instrument(const struct config *config, const struct config_instrument *i,
	struct node_config *node, struct capture_options *capture)
{
	int64_t source = i->synthetic ? SOURCE_SYNTHETIC : SOURCE_LIVE;
	struct node_offering *o = offer(config, node, i->kind, i->price_micros, source);

	o->parameters.unit = SPAN_STR(i->unit);
	o->parameters.quantity = SPAN_STR(i->quantity);
	o->parameters.channel = SPAN_STR(i->channel);
	accept_check(o, CHECK_DECODES);
	accept_check(o, CHECK_UNIT_RANGE);
	accept_check(o, CHECK_PLACE);
	capture->devices[capture->n_devices++] = (struct capture_device){
		.kind = CAPTURE_MEASUREMENT,
		.host = i->host,
		.port = i->port,
		.timeout_ms = (uint32_t)i->timeout_ms,
		.query = i->query,
		.quantity = i->quantity,
		.unit = i->unit,
		.channel = i->channel,
		.calibration = i->calibration,
		.source = source,
	};
}

void offerings_build(const struct config *config, const struct did *broker,
	const struct did *escrow, const struct camera *camera, struct node_config *ret_node,
	struct capture_options *ret_capture)
{
	ret_node->broker = *broker;
	ret_node->escrow = *escrow;
	ret_node->n_offerings = 0;
	ret_capture->n_devices = 0;
	if (camera)
		offer_camera(config, camera, ret_node, ret_capture);
	for (size_t i = 0; i < config->n_instruments; i++)
		offer_instrument(config, &config->instruments[i], ret_node, ret_capture);
	for (size_t i = 0; i < config->n_refused_words; i++)
		ret_node->refused_words[i] = SPAN_STR(config->refused_words[i]);
	ret_node->n_refused_words = config->n_refused_words;
	ret_node->persons_in_view = config->persons_in_view;
	ret_node->max_captures = (size_t)config->captures;
	/* What ended is remembered for minutes, so that nothing is done twice. */
	ret_node->capacity = (size_t)config->captures * OFFERINGS_REMEMBERED;
}
