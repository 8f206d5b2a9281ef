#pragma once
/*
 * What a camera claims in a picture's EXIF (CIPA DC-008): place and times. Claims only. Runs inside
 * the sandboxed worker, over libexif.
 */
#include "escrow/verify/jpeg.h"

/*
 * Reads the content of an APP1 segment ("Exif\0\0" and a TIFF) and sets has_position, has_gps_time,
 * has_taken_at with their values. Values that are missing, malformed or out of range stay absent.
 */
void metadata_read(struct span app1, struct jpeg_facts *facts);
