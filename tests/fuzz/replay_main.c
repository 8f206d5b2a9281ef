/*
 * Runs a fuzz target over every file of a corpus folder: replay-NAME DIR. Exits 1 where the folder
 * cannot be read or is empty, so that a lost corpus is not a passed test.
 */
#include "tests/fuzz/fuzz.h"

#include "proto/base/base.h"

#include <dirent.h>

#define CORPUS_FILE_MAX (1024 * 1024)

static int replay(const char *dir, const char *name)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;

	FILE *file = fopen(path, "rb");

	if (!file)
		return -errno;

	uint8_t *data = malloc(CORPUS_FILE_MAX);
	size_t size = data ? fread(data, 1, CORPUS_FILE_MAX, file) : 0;
	int r = !data ? -ENOMEM : ferror(file) ? -EIO : !feof(file) ? -EFBIG : 0;

	fclose(file);
	if (r == 0) {
		/* An allocation of the very size, so that a sanitizer sees a read past the end. */
		uint8_t *exact = malloc(size > 0 ? size : 1);

		if (exact) {
			memcpy(exact, data, size);
			LLVMFuzzerTestOneInput(exact, size);
			free(exact);
		} else {
			r = -ENOMEM;
		}
	}
	free(data);
	return r;
}

int main(int argc, char **argv)
{
	size_t n_files = 0;
	struct dirent *entry;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s DIR\n", argv[0]);
		return 2;
	}

	DIR *dir = opendir(argv[1]);

	if (!dir) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;

		int r = replay(argv[1], entry->d_name);

		if (r < 0) {
			fprintf(stderr, "%s/%s: %s\n", argv[1], entry->d_name, strerror(-r));
			closedir(dir);
			return 1;
		}
		n_files++;
	}
	closedir(dir);
	printf("%zu files\n", n_files);
	if (n_files == 0) {
		fprintf(stderr, "%s is empty: a corpus needs files.\n", argv[1]);
		return 1;
	}
	return 0;
}
