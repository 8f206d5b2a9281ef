#include "sensor-node/media/photos.h"

#include "sensor-node/media/jpeg.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct photos {
	char **paths;
	size_t n;
	size_t next;
};

static void photos_freep(void *p)
{
	free(*(void **)p);
}

static int photos_read_fd(
	int fd, const char *path, struct camera_error *error, struct camera_shot *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		camera_error_set(error, "%s is not a regular file.", path);
		return -EBADMSG;
	}
	if (st.st_size > CAMERA_JPEG_MAX) {
		camera_error_set(error, "%s is over 16 MiB: give a smaller photograph.", path);
		return -EFBIG;
	}
	size_t size = (size_t)st.st_size;
	_cleanup_(photos_freep) uint8_t *bytes = malloc(size > 0 ? size : 1);
	size_t n = 0;

	if (!bytes)
		return -ENOMEM;
	while (n < size) {
		ssize_t r = read(fd, bytes + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	struct jpeg_shape shape;

	if (jpeg_measure(SPAN(bytes, n), &shape) < 0 || shape.width > CAMERA_DIM_MAX ||
		shape.height > CAMERA_DIM_MAX || !shape.has_tables) {
		camera_error_set(error, "%s is not a JPEG photograph of at most %u pixels a side.",
			path, CAMERA_DIM_MAX);
		return -EBADMSG;
	}
	ret->jpeg = take(&bytes);
	ret->jpeg_n = n;
	ret->width = shape.width;
	ret->height = shape.height;
	return 0;
}

static int photos_read(const char *path, struct camera_error *error, struct camera_shot *ret)
{
	/* O_NONBLOCK, so that a FIFO with a photograph's name does not hold up the node */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? -errno : photos_read_fd(fd, path, error, ret);

	if (r < 0 && r != -EBADMSG && r != -EFBIG)
		camera_error_set(error, "%s cannot be read: %s.", path, strerror(-r));
	if (fd >= 0)
		close(fd);
	return r;
}

static int photos_is_jpeg_name(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot &&
	       (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

/* By bytes, not by locale: the order must be the same on every machine. */
static int photos_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int photos_add(struct photos *p, const char *folder, const char *name)
{
	char **paths = reallocarray(p->paths, p->n + 1, sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	p->paths = paths;
	if (asprintf(&p->paths[p->n], "%s%s%s", folder, *folder ? "/" : "", name) < 0)
		return -ENOMEM;
	p->n++;
	return 0;
}

static int photos_list(struct photos *p, DIR *dir, const char *folder, struct camera_error *error)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);

		if (!entry && errno)
			return -errno;
		if (!entry)
			break;
		if (!photos_is_jpeg_name(entry))
			continue;
		if (p->n >= CAMERA_PHOTOS_MAX) {
			camera_error_set(error, "%s holds more than %u photographs: split it.",
				folder, CAMERA_PHOTOS_MAX);
			return -EFBIG;
		}
		int r = photos_add(p, folder, entry->d_name);

		if (r < 0)
			return r;
	}
	if (p->n == 0) {
		camera_error_set(error, "%s holds no photographs (*.jpg, *.jpeg).", folder);
		return -ENOENT;
	}
	qsort(p->paths, p->n, sizeof(*p->paths), photos_compare);
	return 0;
}

static int photos_fill(struct photos *p, const char *path, struct camera_error *error)
{
	DIR *dir = opendir(path);

	if (!dir && errno != ENOTDIR) {
		int r = -errno;

		camera_error_set(error, "%s cannot be opened: %s.", path, strerror(-r));
		return r;
	}
	int r = dir ? photos_list(p, dir, path, error) : photos_add(p, "", path);

	if (dir)
		closedir(dir);
	return r;
}

int photos_open(const char *path, struct camera_error *ret_error, struct photos **ret_photos)
{
	struct photos *p = calloc(1, sizeof(*p));
	struct camera_shot first = { 0 };
	int r;

	if (!p)
		return -ENOMEM;
	r = photos_fill(p, path, ret_error);
	if (r == 0)
		r = photos_read(p->paths[0], ret_error, &first);
	camera_shot_deinit(&first);
	if (r < 0) {
		photos_close(p);
		return r;
	}
	*ret_photos = p;
	return 0;
}

static bool photos_fits(const struct camera_shot *shot, const struct camera_wish *wish)
{
	return shot->width >= wish->min_width && shot->height >= wish->min_height &&
	       (wish->max_width == 0 || shot->width <= wish->max_width) &&
	       (wish->max_height == 0 || shot->height <= wish->max_height);
}

int photos_next(struct photos *p, const struct camera_wish *wish, struct camera_error *ret_error,
	struct camera_shot *ret_shot)
{
	int result = -ERANGE;

	camera_error_set(ret_error, "No photograph is of the size wished.");
	for (size_t i = 0; i < p->n; i++) {
		struct camera_shot shot = { 0 };
		int r = photos_read(p->paths[p->next], ret_error, &shot);

		p->next = (p->next + 1) % p->n;
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			/* one bad file must not stop the others; its error stands if none is left
			 */
			result = r;
			continue;
		}
		if (photos_fits(&shot, wish)) {
			ret_shot->jpeg = take(&shot.jpeg);
			ret_shot->jpeg_n = shot.jpeg_n;
			ret_shot->width = shot.width;
			ret_shot->height = shot.height;
			return 0;
		}
		camera_shot_deinit(&shot);
	}
	return result;
}

void photos_close(struct photos *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->paths[i]);
	free(p->paths);
	free(p);
}
