#pragma once
/*
 * The broker's core: which node serves which request, and the order of the log. It decides over
 * slots (core/slot.h), offerings and the log's tree; it never sees a plaintext and never moves
 * money. See
 * ../DESIGN.md. Driven through broker_ops (core/core.h).
 */
#include "proto/core/core.h"

#define BROKER_ESCROWS_MAX           8
#define BROKER_SLOTS_DEFAULT         65536
#define BROKER_OFFERINGS_DEFAULT     65536
#define BROKER_OPEN_PER_BUYER_MAX    4096 /* open requests of one buyer */
#define BROKER_NODE_OFFERINGS_MAX    16 /* offerings of one node */
#define BROKER_RETRY_FIRST_NS        (2 * NS_PER_S)
#define BROKER_RETRY_MOST_NS         (30 * NS_PER_S)
#define BROKER_ASSIGN_RETRY_FIRST_NS NS_PER_S
#define BROKER_ASSIGN_RETRY_MOST_NS  (5 * NS_PER_S)

/* Rows beyond statement and payload. The numbers are those of broker_ops.tables. */
enum broker_table {
	BROKER_TABLE_OFFERING = 2, /* node, kind, id, bytes */
	BROKER_TABLE_SLOT = 3, /* see slot_row.c */
	BROKER_TABLE_OPEN_REQUEST = 4, /* request, bytes */
	BROKER_TABLE_RECEIPT = 5, /* request, receipt, note */
	BROKER_TABLE_ENTRY = 6, /* log index, type, id */
	BROKER_TABLE_LOG = 7, /* 1, state of the tree, newest checkpoint */
	BROKER_TABLES = 8,
};

struct broker_config {
	struct author author;
	struct did escrows[BROKER_ESCROWS_MAX];
	size_t n_escrows;
	size_t slots; /* 0: default */
	size_t offerings; /* 0: default */
};

struct broker;

/* 0, -ENOMEM or -EINVAL. The caller frees. */
_must_check_ int broker_new(const struct broker_config *config, struct broker **ret_broker);
void broker_free(struct broker *broker);

extern const struct core_ops broker_ops;

struct broker_counts {
	uint64_t requests;
	uint64_t open_slots;
	uint64_t offerings;
	uint64_t connected_nodes;
	uint64_t log_size;
};

struct broker_counts broker_counts(const struct broker *broker);
