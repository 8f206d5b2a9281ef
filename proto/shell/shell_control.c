#include "proto/shell/shell_internal.h"

#include "proto/cose/cose.h"
#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/os/logline.h"
#include "proto/seal/seal.h"
#include "proto/shell/control.h"
#include "proto/shell/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LINE_WAIT_NS (5 * NS_PER_S) /* who connects and says nothing is hung up on */

struct control {
	int listener;
	int peer; /* one at a time; the others wait in the backlog */
	int64_t accepted_at;
	size_t n;
	char line[SHELL_LINE_MAX];
	struct snapshot *snapshot; /* running, for peer */
	char path[SHELL_PATH_MAX];
};

static void hang_up(struct control *c)
{
	snapshot_free(take(&c->snapshot));
	closep(&c->peer);
	c->peer = -EBADF;
	c->n = 0;
}

static void answer(struct control *c, const char *text)
{
	char line[CONTROL_REPLY_MAX];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	/* Who does not read its answer does without. */
	if (send(c->peer, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		logline(LEVEL_WARNING, "control_answer_lost");
	hang_up(c);
}

static void answer_error(struct control *c, const char *what, int error)
{
	char line[256];

	logline(LEVEL_WARNING, "control_failed", KV_STR("what", what), KV_ERR("error", error));
	snprintf(line, sizeof(line), "error %s: %s", what, strerror(-error));
	answer(c, line);
}

/* Removes the socket of a daemon that is gone; one that answers is in use. */
static int clear_path(const struct sockaddr_un *address)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return -EADDRINUSE;
	if (errno == ENOENT)
		return 0;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

int shell_control_new(struct shell *shell, struct control **ret_control)
{
	size_t n = strlen(shell->o.control_path);
	_cleanup_(freep) struct control *c = NULL;
	_cleanup_(closep) int fd = -EBADF, dir = -EBADF;
	struct sockaddr_un address;
	int r;

	if (n >= sizeof(c->path))
		return -ENAMETOOLONG;
	r = control_address(shell->o.control_path, &address, &dir);
	if (r == 0)
		r = clear_path(&address);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux gives the socket's own mode to the name that bind() makes: nobody slips in between.
	 */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 8) < 0)
		return -errno;
	memcpy(c->path, shell->o.control_path, n + 1);
	c->listener = take_fd(&fd);
	c->peer = -EBADF;
	*ret_control = take(&c);
	return 0;
}

void shell_control_free(struct control *c)
{
	if (!c)
		return;
	hang_up(c);
	if (unlink(c->path) < 0 && errno != ENOENT)
		logline(LEVEL_WARNING, "control_path_left", KV_ERR("error", -errno));
	closep(&c->listener);
	free(c);
}

size_t shell_control_items(struct control *c, struct net_item *items)
{
	/* While one is served the others' wake-ups would only spin. */
	items[0] = (struct net_item){ .fd = c->peer >= 0 ? c->peer : c->listener };
	return c->snapshot ? 0 : 1;
}

bool shell_control_busy(const struct control *c)
{
	return c->snapshot != NULL;
}

static uint64_t resident_bytes(void)
{
	_cleanup_(freep) uint8_t *text = NULL;
	size_t n;
	uint64_t pages = 0;

	/* "size resident ..." in pages; where there is no /proc the figure is 0. */
	if (file_read("/proc/self/statm", 256, &text, &n) < 0 ||
		sscanf((const char *)text, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ,"NAME":{"ASSIGN":1,...} with the types that there were. */
static void add_types(struct buf *out, const char *name, const uint64_t counts[SHELL_TYPES_MAX])
{
	bool first = true;

	buf_printf(out, ",\"%s\":{", name);
	for (int64_t i = 0; i < SHELL_TYPES_MAX; i++)
		if (counts[i] > 0) {
			buf_printf(out, "%s\"%s\":%" PRIu64, first ? "" : ",", message_type_name(i),
				counts[i]);
			first = false;
		}
	buf_str(out, "}");
}

static void stats(struct shell *shell, struct control *c)
{
	const struct shell_counts *n = &shell->counts;
	struct net_counts net = net_counts(shell->o.net);
	struct cose_counts cose = cose_counts();
	struct seal_counts seal = seal_counts();
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{ "batches", n->batches },
		{ "events", n->events },
		{ "commits", shell->o.db ? db_commits(shell->o.db) : 0 },
		{ "commits_awaited", n->commits_awaited },
		{ "received", n->received },
		{ "sent", n->sent },
		{ "refused", n->refused },
		{ "ignored", n->ignored },
		{ "dropped_absent", n->dropped_absent },
		{ "dropped_full", n->dropped_full },
		{ "held", shell->held.n },
		{ "unresolved", n->unresolved },
		{ "pulls", n->pulls },
		{ "chunks", n->chunks },
		{ "batch_largest", n->batch_largest },
		{ "peers", shell->sessions.n },
		{ "net_received_bytes", net.received_bytes },
		{ "net_sent_bytes", net.sent_bytes },
		{ "net_connections", net.connections },
		{ "signatures", cose.signatures },
		{ "verifications", cose.verifications },
		{ "wraps", seal.wraps },
		{ "unwraps", seal.unwraps },
		{ "resident_bytes", resident_bytes() },
	};
	char room[CONTROL_REPLY_MAX - 2];
	struct buf out = buf_over(room, sizeof(room) - 1);

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		buf_printf(&out, "%c\"%s\":%" PRIu64, i == 0 ? '{' : ',', figures[i].name,
			figures[i].value);
	add_types(&out, "received_types", n->received_types);
	add_types(&out, "sent_types", n->sent_types);
	buf_str(&out, "}");
	room[out.n] = '\0';
	answer(c, room);
}

static void command(struct shell *shell, struct control *c)
{
	static const char snapshot[] = "snapshot ";
	int r;

	if (strcmp(c->line, "stats") == 0) {
		stats(shell, c);
	} else if (strcmp(c->line, "stop") == 0) {
		atomic_store(&shell->stop, true);
		answer(c, "ok");
	} else if (strncmp(c->line, snapshot, strlen(snapshot)) == 0) {
		r = snapshot_new(
			shell->o.db, shell->o.blobs_path, c->line + strlen(snapshot), &c->snapshot);
		if (r < 0)
			answer_error(c, "snapshot", r);
	} else {
		answer(c, "error unknown command: snapshot DIR, stats, stop");
	}
}

static void read_command(struct shell *shell, struct control *c)
{
	ssize_t got = recv(c->peer, c->line + c->n, sizeof(c->line) - c->n, MSG_DONTWAIT);
	char *end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (clock_mono_ns() - c->accepted_at > LINE_WAIT_NS)
			hang_up(c);
		return;
	}
	if (got <= 0) {
		hang_up(c);
		return;
	}
	c->n += (size_t)got;
	end = memchr(c->line, '\n', c->n);
	if (end) {
		*end = '\0';
		command(shell, c);
	} else if (c->n == sizeof(c->line)) {
		answer(c, "error the line is too long");
	}
}

int shell_control_work(struct shell *shell, struct control *c)
{
	int r;

	if (c->snapshot) {
		r = snapshot_step(c->snapshot);
		if (r == 0)
			answer(c, "ok");
		else if (r < 0)
			answer_error(c, "snapshot", r);
		return 0;
	}
	if (c->peer < 0) {
		c->peer = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (c->peer < 0)
			return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ||
					       errno == EMFILE || errno == ENFILE
				       ? 0
				       : -errno;
		c->accepted_at = clock_mono_ns();
	}
	read_command(shell, c);
	return 0;
}
