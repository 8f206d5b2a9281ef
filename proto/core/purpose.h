#pragma once
/*
 * Whether the stated purpose of a request is to find, follow or identify a person (statements.md,
 * rule 10). Words alone: a verb of hunting and a word for people close together in one sentence,
 * with no negation between them. It stops who says so and nobody else; what a purpose hides is left
 * to the node's operator, who has words and areas of his own to refuse.
 */
#include "proto/base/base.h"

#define PURPOSE_NEAR 6 /* words between verb and person, at most */

/* Text in any case and encoding; empty text has no such purpose. */
bool purpose_tracks_person(struct span purpose);
