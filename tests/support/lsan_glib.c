/*
 * For programs that load GLib, under the leak sanitizer: GLib 2.74 allocates one table in its
 * library constructor and keeps only a derived pointer to it, which looks like a leak. Suppressed
 * by the one frame that all constructors have, so that every other leak is still found; seeing that
 * frame takes the slow unwinder, since Debian's GLib has no frame pointers. Without sanitizers
 * these are never called.
 */
#define EXPORT_ __attribute__((visibility("default"), used))

const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

EXPORT_ const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

EXPORT_ const char *__lsan_default_suppressions(void)
{
	return "leak:call_init\n";
}
