/*
 * Renders the demonstration photograph: a lake before mountains, with a boat shed on the near
 * shore. Writes a JPEG with EXIF (make, model, time, place) to the file named, the same bytes each
 * time on one machine and library version. make-photo OUT.jpg
 */
#include "proto/base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <turbojpeg.h>

#define WIDTH   1920
#define HEIGHT  1080
#define QUALITY 82
#define HORIZON 560.0

struct rgb {
	double r, g, b;
};

static struct rgb mix(struct rgb a, struct rgb b, double t)
{
	t = t < 0 ? 0 : t > 1 ? 1 : t;
	return (struct rgb){ a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t };
}

static struct rgb shade(struct rgb c, double f)
{
	return (struct rgb){ c.r * f, c.g * f, c.b * f };
}

static double smooth(double from, double to, double x)
{
	double t = (x - from) / (to - from);

	t = t < 0 ? 0 : t > 1 ? 1 : t;
	return t * t * (3 - 2 * t);
}

/* A value in [0, 1) that depends on nothing but its arguments. */
static double hash(int64_t x, int64_t y, uint32_t seed)
{
	uint64_t h = (uint64_t)x * 0x9e3779b97f4a7c15u ^ (uint64_t)y * 0xc2b2ae3d27d4eb4fu ^
		     (uint64_t)seed * 0x165667b19e3779f9u;

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	h ^= h >> 32;
	h *= 0x94d049bb133111ebu;
	return (double)(h >> 40) / (double)(1u << 24);
}

static double noise(double x, double y, uint32_t seed)
{
	double fx = floor(x);
	double fy = floor(y);
	int64_t ix = (int64_t)fx;
	int64_t iy = (int64_t)fy;
	double u = smooth(0, 1, x - fx);
	double v = smooth(0, 1, y - fy);
	double top = hash(ix, iy, seed) * (1 - u) + hash(ix + 1, iy, seed) * u;
	double low = hash(ix, iy + 1, seed) * (1 - u) + hash(ix + 1, iy + 1, seed) * u;

	return top * (1 - v) + low * v;
}

static double fbm(double x, double y, int octaves, uint32_t seed)
{
	double sum = 0;
	double weight = 0.5;

	for (int i = 0; i < octaves; i++) {
		sum += weight * noise(x, y, seed + (uint32_t)i);
		x = x * 2.03 + 11.7;
		y = y * 2.03 + 5.3;
		weight *= 0.5;
	}
	return sum;
}

static struct rgb sky(double x, double y)
{
	struct rgb c = mix((struct rgb){ 0.27, 0.47, 0.76 }, (struct rgb){ 0.80, 0.87, 0.92 },
		smooth(-40, 500, y));
	double depth = 1.0 / (0.25 + y / HORIZON);
	double cloud = fbm(x * 0.0016 * depth + 3, (HORIZON - y) * -0.0042 * depth, 6, 7);
	double cover = smooth(0.47, 0.70, cloud) * smooth(0, 120, y + 60);
	double lit = fbm(x * 0.0016 * depth + 2.93, (HORIZON - y) * -0.0042 * depth - 0.05, 5, 7);
	struct rgb white = mix((struct rgb){ 0.98, 0.97, 0.95 }, (struct rgb){ 0.70, 0.74, 0.80 },
		smooth(0.42, 0.75, lit));

	return mix(c, white, cover * 0.92);
}

/* Height of a ridge above the horizon, in pixels. */
static double ridge(double x, int layer)
{
	static const double height[] = { 330, 190, 74 };
	static const double scale[] = { 0.0026, 0.0033, 0.0050 };
	double jag = 1 - fabs(2 * noise(x * scale[layer] * 2, 0.5, 90 + (uint32_t)layer) - 1);
	double h = fbm(x * scale[layer], 3.3 * layer, 7, 40 + (uint32_t)layer * 11);
	double slope = layer == 1   ? smooth(300, 1900, x) * 70 - 20
		       : layer == 2 ? smooth(1100, 0, x) * 60
				    : 0;

	return height[layer] * (0.35 + 0.75 * h + (layer == 0 ? 0.28 * jag : 0.05 * jag)) + slope -
	       40;
}

static struct rgb mountain(double x, double up, double top, int layer)
{
	static const struct rgb rock[] = { { 0.44, 0.50, 0.60 }, { 0.27, 0.37, 0.42 },
		{ 0.13, 0.23, 0.16 } };
	static const struct rgb haze = { 0.70, 0.78, 0.86 };
	double face = fbm(x * 0.012 + up * 0.008, up * 0.018 - x * 0.004, 6, 60 + (uint32_t)layer);
	double fold = x + 0.55 * up * (layer == 0 ? 1 : 0.4);
	double lit = fbm((fold + 9) * 0.011, (up + 9) * 0.010, 6, 64) -
		     fbm(fold * 0.011, up * 0.010, 6, 64);
	double light = 0.88 + 3.2 * lit + (face - 0.5) * 0.7;
	struct rgb c = shade(rock[layer], light < 0.45 ? 0.45 : light > 1.35 ? 1.35 : light);

	if (layer == 0) {
		double snow = smooth(120, 215, up + (face - 0.5) * 190);

		c = mix(c, shade((struct rgb){ 0.93, 0.95, 0.98 }, 0.72 + 0.3 * light), snow * 0.9);
	}
	if (layer == 2) {
		double tree = hash((int64_t)(x / 3),
			(int64_t)((up + 7 * hash((int64_t)(x / 3), 1, 5)) / 6), 5);

		c = shade(c, 0.72 + 0.5 * tree);
	}
	static const double mist[] = { 0.42, 0.26, 0.08 };

	return mix(c, haze, mist[layer] + 0.25 * smooth(60, 0, up) * (layer < 2) - (top < up));
}

static struct rgb far_scene(double x, double y)
{
	struct rgb c = sky(x, y);
	double up = HORIZON - y;

	for (int layer = 0; layer < 3; layer++) {
		double top = ridge(x, layer);
		double serrated = top;

		if (layer == 2)
			serrated += 9 * hash((int64_t)(x / 4), 0, 8) +
				    5 * hash((int64_t)(x / 9), 0, 9);
		if (up < serrated)
			c = mix(c, mountain(x, up, serrated, layer),
				smooth(serrated, serrated - 1.5, up));
	}
	return c;
}

static struct rgb lake(double x, double y)
{
	double down = y - HORIZON;
	double near = down / (HEIGHT - HORIZON);
	double far = 1 / (0.06 + near);
	double wave = fbm(x * 0.010 * far * 0.35, far * 26, 4, 21) - 0.47;
	double fine = fbm(x * 0.035 * far * 0.3, far * 75, 3, 25) - 0.44;
	double mirror_y = HORIZON - down * 1.08 + (wave * 110 + fine * 46) * (0.15 + near * 1.6);
	struct rgb c = far_scene(
		x + wave * 36 * (0.2 + near), mirror_y > HORIZON - 1 ? HORIZON - 1 : mirror_y);
	struct rgb deep = { 0.08, 0.20, 0.25 };

	c = mix(c, deep, 0.30 + 0.42 * near + 0.5 * fine);
	c = shade(c, 0.93 + 0.35 * wave);
	if (fine > 0.23 && fabs(x - 1290) < 130 + 260 * near)
		c = mix(c, (struct rgb){ 1, 0.97, 0.88 }, (fine - 0.23) * 6);
	return mix((struct rgb){ 0.78, 0.84, 0.87 }, c, smooth(-2, 9, down));
}

static double shore(double x)
{
	return 842 + 120 * smooth(1500, 700, x) * -1 + 46 * (fbm(x * 0.004, 1, 5, 31) - 0.5) +
	       150 * smooth(900, 1920, x);
}

static struct rgb meadow(double x, double y)
{
	double edge = shore(x);
	double depth = (y - edge) / (HEIGHT - edge);
	double scale = 1.6 - depth;
	double patch = fbm(x * 0.006 * scale, y * 0.016 * scale, 5, 33);
	double lean = 14 * noise(x * 0.01, y * 0.02, 36);
	double blade = noise((x + lean) * 0.42 * scale, y * 0.055 * scale, 34) * 0.6 +
		       noise((x - lean) * 0.8 * scale, y * 0.11 * scale, 35) * 0.4;
	struct rgb c = mix((struct rgb){ 0.20, 0.33, 0.10 }, (struct rgb){ 0.50, 0.55, 0.22 },
		smooth(0.25, 0.75, patch));

	c = shade(c, 0.45 + 0.95 * blade);
	int64_t fx = (int64_t)(x / 9);
	int64_t fy = (int64_t)(y / 7);

	if (hash(fx, fy, 77) > 0.985 && depth > 0.12) {
		double dx = x - ((double)fx * 9 + 4);
		double dy = y - ((double)fy * 7 + 3);
		struct rgb petal = hash(fx, fy, 78) > 0.4 ? (struct rgb){ 0.95, 0.94, 0.88 }
							  : (struct rgb){ 0.93, 0.78, 0.22 };

		c = mix(c, petal, smooth(2.2 + depth * 1.6, 0.6, sqrt(dx * dx + dy * dy)));
	}
	double pebble = fbm(x * 0.10, y * 0.20, 3, 38);
	struct rgb stone = shade((struct rgb){ 0.60, 0.57, 0.51 }, 0.5 + pebble);

	return mix(stone, c, smooth(6, 26, y - edge + 14 * (patch - 0.5)));
}

/* A conifer of that height with its foot at (0, 0), y upwards. Returns how dense it is there. */
static double conifer(double x, double y, double height, uint32_t seed, double *ret_light)
{
	double t = y / height;

	if (t < 0 || t > 1)
		return 0;
	double tier = fmod(t * 13 + 0.35 * noise(x * 0.09, 1, seed), 1.0);
	double half = height * 0.19 * (1.03 - t) * (0.60 + 0.52 * (1 - tier));
	double ragged = half * (0.72 + 0.55 * noise(x * 0.16, y * 0.20, seed + 1));
	double needles = noise(x * 0.38, y * 0.24, seed + 2);

	*ret_light = 0.38 + 0.5 * needles + 0.35 * smooth(-half, half, x) - 0.22 * tier;
	if (t < 0.06)
		return fabs(x) < height * 0.018 ? 1 : 0;
	return smooth(ragged, ragged - 2.5, fabs(x));
}

static struct rgb trees(struct rgb c, double x, double y)
{
	static const struct {
		double x, foot, height;
	} stand[] = { { 92, 842, 520 }, { 262, 832, 410 }, { 178, 868, 600 }, { 352, 826, 250 },
		{ 1800, 1002, 330 }, { 1888, 1012, 450 } };

	for (size_t i = 0; i < ARRAY_SIZE(stand); i++) {
		double light = 0;
		double dense = conifer(x - stand[i].x, stand[i].foot - y, stand[i].height,
			100 + (uint32_t)i * 7, &light);

		c = mix(c, shade((struct rgb){ 0.14, 0.27, 0.15 }, light), dense);
	}
	return c;
}

static struct rgb planks(double x, double y, double light)
{
	double board = floor(x / 17);
	double in = x - board * 17;
	double grain = fbm(x * 0.30, y * 0.018 + board * 7, 4, 51);
	struct rgb c = shade((struct rgb){ 0.45, 0.29, 0.18 },
		light * (0.62 + 0.30 * hash((int64_t)board, 0, 52)));

	c = shade(c, 0.70 + 0.62 * grain);
	return shade(c, 0.45 + 0.55 * smooth(0, 2.2, in) * smooth(17, 15.6, in));
}

static struct rgb window(double x, double y, double w, double h)
{
	double bar = 7;
	bool frame = x < bar || y < bar || x > w - bar || y > h - bar || fabs(x - w / 2) < 3 ||
		     fabs(y - h / 2) < 3;

	if (frame)
		return shade(
			(struct rgb){ 0.86, 0.84, 0.78 }, 0.9 + 0.12 * noise(x * 0.3, y * 0.3, 54));
	struct rgb glass = mix((struct rgb){ 0.10, 0.13, 0.16 }, (struct rgb){ 0.55, 0.66, 0.76 },
		smooth(0.25, 0.8,
			fbm(x * 0.03 + 2, y * 0.02, 4, 55) * 0.8 + (x - y) / (w + h) * 0.5 + 0.1));

	if (x > w * 0.12 && x < w * 0.42 && y < h * 0.86)
		glass = mix(glass, (struct rgb){ 0.72, 0.28, 0.22 }, 0.55 + 0.2 * sin(x * 0.7));
	return glass;
}

static struct rgb roof(double u, double v)
{
	double row = floor(v / 15);
	double shift = fmod(row, 2) * 14;
	double tile = floor((u + shift) / 28);
	double in_u = u + shift - tile * 28;
	double in_v = v - row * 15;
	struct rgb c = shade((struct rgb){ 0.52, 0.24, 0.17 },
		0.66 + 0.5 * hash((int64_t)tile, (int64_t)row, 57));

	c = mix(c, (struct rgb){ 0.35, 0.38, 0.20 },
		smooth(0.52, 0.75, fbm(u * 0.02, v * 0.04, 4, 58)) * 0.7);
	return shade(c, 0.5 + 0.5 * smooth(0, 3, in_u) * smooth(15, 9, in_v));
}

/* The shed: a front wall with gable and door, a long side wall with a window, and a roof. */
static struct rgb shed(struct rgb c, double x, double y)
{
	const double left = 560, corner = 742, right = 1128, base = 886, eave = 690, peak = 588;
	double middle = (left + corner) / 2;
	double sag = 5 * sin((x - corner) / (right - corner) * 3.1);
	double shadow = smooth(40, 0, y - base) * (y >= base) * smooth(left - 60, left + 30, x) *
			smooth(right + 20, right - 20, x);

	c = shade(c, 1 - 0.55 * shadow);
	double base_side = base - (x - corner) * 0.030;
	double eave_side = eave + (x - corner) * 0.022;

	if (x >= corner && x < right && y > eave_side && y < base_side) {
		c = planks(x, y, 1.25);
		c = shade(c, 0.45 + 0.55 * smooth(4, 44, y - eave_side));
		if (x > 862 && x < 1012 && y > 742 && y < 838)
			c = window(x - 862, y - 742, 150, 96);
		if (x > 856 && x < 1018 && y >= 838 && y < 846)
			c = (struct rgb){ 0.70, 0.67, 0.60 };
		if (x > 858 && x < 1016 && y > 846 && y < 866) {
			double bloom = noise(x * 0.25, y * 0.35, 63);

			c = mix((struct rgb){ 0.18, 0.30, 0.10 }, (struct rgb){ 0.80, 0.15, 0.20 },
				smooth(0.45, 0.7, bloom));
		}
	}
	double gable = eave - (eave - peak) * (1 - fabs(x - middle) / (middle - left));

	if (x > left && x < corner && y > gable && y < base) {
		c = planks(x, y, 0.66);
		if (x > 612 && x < 690 && y > 744) {
			c = shade((struct rgb){ 0.16, 0.30, 0.32 },
				0.6 + 0.5 * fbm(x * 0.2, y * 0.02, 4, 61));
			if (fmod(x - 612, 26) < 2)
				c = shade(c, 0.5);
			if ((x - 680) * (x - 680) + (y - 818) * (y - 818) < 12)
				c = (struct rgb){ 0.85, 0.78, 0.5 };
		}
		if (fabs(x - middle) < 15 && fabs(y - 668) < 15)
			c = fabs(x - middle) < 11 && fabs(y - 668) < 11
				    ? (struct rgb){ 0.08, 0.09, 0.10 }
				    : (struct rgb){ 0.82, 0.80, 0.74 };
	}
	/* the slope towards the viewer's right, as a sheared parallelogram */
	double v = (y - (peak - 10) + sag * 0.3) / (eave + 16 - (peak - 10));
	double from = middle + (corner + 8 - middle) * v;
	double to = right - 70 + 96 * v;

	if (v > 0 && v < 1 && x > from && x < to)
		c = shade(roof((x - from) * 1.02, v * 126), 1.08);
	double rake = fabs(y - gable + 8);

	if (x > left - 14 && x <= middle + 2 && y < gable + 3 && rake < 9)
		c = shade(
			(struct rgb){ 0.36, 0.18, 0.13 }, 0.75 + 0.3 * noise(x * 0.2, y * 0.2, 62));
	return c;
}

/* A jetty from the shore into the lake. */
static struct rgb jetty(struct rgb c, double x, double y)
{
	double t = (y - 742) / (968 - 742);

	if (t < 0 || t > 1.06)
		return c;
	double left = 1340 - 104 * t;
	double width = 30 + 104 * t;
	double board = pow(1.0 + t * 2.2, 2) * 6;
	double in = board - floor(board);

	if (x > left && x < left + width && t <= 1) {
		c = shade((struct rgb){ 0.56, 0.50, 0.43 },
			0.62 + 0.34 * hash((int64_t)floor(board), 3, 71) +
				0.25 * noise(x * 0.06, y * 0.5, 72));
		return shade(c, 0.45 + 0.55 * smooth(0.0, 0.12, in));
	}
	if (x > left && x < left + width && t > 1)
		return shade((struct rgb){ 0.25, 0.21, 0.17 }, 0.8);
	if (x >= left + width && x < left + width + 7 + 9 * t)
		return shade(
			(struct rgb){ 0.22, 0.19, 0.16 }, 0.8 + 0.3 * noise(x * 0.2, y * 0.3, 73));
	return c;
}

static struct rgb scene(double x, double y)
{
	struct rgb c;

	if (y < HORIZON)
		c = far_scene(x, y);
	else
		c = lake(x, y);
	if (y > shore(x))
		c = meadow(x, y);
	c = jetty(c, x, y);
	c = shed(c, x, y);
	return trees(c, x, y);
}

/* Tone, vignette and the grain of a sensor. */
static uint8_t expose(double v, double vignette, double grain)
{
	v = v * vignette * 1.04;
	v = v < 0 ? 0 : v > 1 ? 1 : v;
	v = v * v * (3 - 2 * v) * 0.35 + v * 0.65 + grain;
	return (uint8_t)(v <= 0 ? 0 : v >= 1 ? 255 : v * 255 + 0.5);
}

static void render(uint8_t *pixels)
{
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			struct rgb a = scene(x + 0.25, y + 0.25);
			struct rgb c = mix(a, scene(x + 0.75, y + 0.75), 0.5);
			double dx = (x - WIDTH / 2.0) / WIDTH;
			double dy = (y - HEIGHT / 2.0) / HEIGHT;
			double vignette = 1 - 0.38 * (dx * dx + dy * dy);
			double grain = (hash(x, y, 1) + hash(x, y, 2) - 1) * 0.012;
			uint8_t *p = pixels + 3 * ((size_t)y * WIDTH + (size_t)x);

			p[0] = expose(c.r, vignette, grain);
			p[1] = expose(c.g, vignette, grain);
			p[2] = expose(c.b, vignette, grain);
		}
}

/* Little-endian TIFF (EXIF 2.3, 4.6.2): u16 and u32, and a 12-byte directory entry. */
static void put16(struct buf *b, unsigned v)
{
	buf_byte(b, (uint8_t)v);
	buf_byte(b, (uint8_t)(v >> 8));
}

static void put32(struct buf *b, uint32_t v)
{
	put16(b, v & 0xffff);
	put16(b, v >> 16);
}

static void entry(struct buf *b, unsigned tag, unsigned type, uint32_t count, uint32_t value)
{
	put16(b, tag);
	put16(b, type);
	put32(b, count);
	put32(b, value);
}

enum { BYTE = 1, ASCII = 2, SHORT = 3, LONG = 4, RATIONAL = 5, UNDEFINED = 7 };

#define MAKE     "Assay"
#define MODEL    "Rendered Scene"
#define TAKEN    "2026:06:21 10:30:00"
#define IFD0     8u
#define EXIF     (IFD0 + 2 + 6 * 12 + 4)
#define GPS      (EXIF + 2 + 5 * 12 + 4)
#define STRINGS  (GPS + 2 + 5 * 12 + 4)
#define AT_MAKE  STRINGS
#define AT_MODEL (AT_MAKE + (uint32_t)sizeof(MAKE))
#define AT_TAKEN (AT_MODEL + (uint32_t)sizeof(MODEL))
#define AT_LAT   (AT_TAKEN + (uint32_t)sizeof(TAKEN) + 1)
#define AT_LON   (AT_LAT + 24)

/* 47.3769 N = 47 deg 22' 36.84", 8.5417 E = 8 deg 32' 30.12". */
static void exif(struct buf *b)
{
	static const uint32_t position[] = { 47, 1, 22, 1, 3684, 100, 8, 1, 32, 1, 3012, 100 };

	buf_put(b, "Exif\0\0II*\0", 10);
	put32(b, IFD0);
	put16(b, 6);
	entry(b, 0x010f, ASCII, sizeof(MAKE), AT_MAKE);
	entry(b, 0x0110, ASCII, sizeof(MODEL), AT_MODEL);
	entry(b, 0x0112, SHORT, 1, 1);
	entry(b, 0x0132, ASCII, sizeof(TAKEN), AT_TAKEN);
	entry(b, 0x8769, LONG, 1, EXIF);
	entry(b, 0x8825, LONG, 1, GPS);
	put32(b, 0);
	put16(b, 5);
	entry(b, 0x9000, UNDEFINED, 4, 0x30333230); /* "0230" */
	entry(b, 0x9003, ASCII, sizeof(TAKEN), AT_TAKEN);
	entry(b, 0xa001, SHORT, 1, 1);
	entry(b, 0xa002, LONG, 1, WIDTH);
	entry(b, 0xa003, LONG, 1, HEIGHT);
	put32(b, 0);
	put16(b, 5);
	entry(b, 0x0000, BYTE, 4, 0x00000302); /* 2.3.0.0 */
	entry(b, 0x0001, ASCII, 2, 'N');
	entry(b, 0x0002, RATIONAL, 3, AT_LAT);
	entry(b, 0x0003, ASCII, 2, 'E');
	entry(b, 0x0004, RATIONAL, 3, AT_LON);
	put32(b, 0);
	buf_put(b, MAKE, sizeof(MAKE));
	buf_put(b, MODEL, sizeof(MODEL));
	buf_put(b, TAKEN, sizeof(TAKEN));
	buf_byte(b, 0);
	for (size_t i = 0; i < ARRAY_SIZE(position); i++)
		put32(b, position[i]);
}

_Static_assert(AT_LAT % 2 == 0, "TIFF values start at even offsets");

/* The file: SOI, APP1 with EXIF, and the JPEG without its SOI. Returns whether all was written. */
static bool save(const char *path, struct span jpeg)
{
	static uint8_t memory[1024];
	struct buf app1 = BUF(memory);
	FILE *f = fopen(path, "wb");

	exif(&app1);
	if (!f || !buf_ok(&app1))
		return false;

	const uint8_t head[] = { 0xff, 0xd8, 0xff, 0xe1, (uint8_t)((app1.n + 2) >> 8),
		(uint8_t)(app1.n + 2) };
	bool ok = fwrite(head, sizeof(head), 1, f) == 1 && fwrite(app1.p, app1.n, 1, f) == 1 &&
		  fwrite(jpeg.p + 2, jpeg.n - 2, 1, f) == 1;

	return fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
	uint8_t *pixels = malloc((size_t)3 * WIDTH * HEIGHT);
	tjhandle encoder = tjInitCompress();
	unsigned char *jpeg = NULL;
	unsigned long n = 0;
	bool ok = argc == 2 && pixels && encoder;

	if (argc != 2)
		fprintf(stderr, "usage: make-photo OUT.jpg\n");
	if (ok) {
		render(pixels);
		ok = tjCompress2(encoder, pixels, WIDTH, 0, HEIGHT, TJPF_RGB, &jpeg, &n, TJSAMP_420,
			     QUALITY, TJFLAG_ACCURATEDCT) == 0 &&
		     save(argv[1], SPAN(jpeg, n));
		if (!ok)
			fprintf(stderr, "make-photo: %s cannot be written.\n", argv[1]);
	}
	tjFree(jpeg);
	if (encoder)
		tjDestroy(encoder);
	free(pixels);
	return ok ? 0 : 1;
}
