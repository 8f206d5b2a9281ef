#pragma once
/*
 * Looks at a JPEG's headers (ITU-T T.81, B.2) without decoding it: enough to know its size and
 * whether it stands on its own. Whether it decodes fully is a verifier's question.
 */
#include "proto/base/base.h"

struct jpeg_shape {
	uint32_t width;
	uint32_t height;
	bool has_tables; /* false for the frames of some cameras, which leave out the Huffman tables
			  */
};

/* Returns 0 or -EBADMSG: not a JPEG with a frame header, a size other than zero, and a scan. */
_must_check_ int jpeg_measure(struct span jpeg, struct jpeg_shape *ret_shape);
