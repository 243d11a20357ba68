/* SPDX-License-Identifier: MIT */
#include "daemon/connection.h"

#include "daemon/hurry.h"
#include "proto/message.h"
#include "proto/util.h"

#include <sys/socket.h>

void connection_refuse(int fd, enum proto_error error, const char *message)
{
	struct proto_status status;
	_cleanup_free_ char *text = NULL;
	size_t length;

	proto_status_set(&status, error, PROTO_STAGE_NONE, 0, "%s", message);
	status.retry = true;
	text = proto_status_encode(&status, &length);
	if (text)
		send(fd, text, length + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_RDWR);
}

/* What was not read may have descriptors with it, whose last close may be ours. */
void connection_close(int *fd)
{
	hurry_begin();
	close_fd(fd);
	hurry_end();
}

static void on_end(struct watch *watch)
{
	struct connection *connection = container_of(watch, struct connection, watch);

	connection->gone(connection);
}

struct connection *connection_new(struct watch_set *watches, int fd, struct ledger *ledger,
				  unsigned int account, void *owner,
				  void (*gone)(struct connection *))
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		connection_close(&fd);
		ledger_close(ledger, account);
		return NULL;
	}
	*connection = (struct connection){ .fd = fd, .ledger = ledger, .account = account,
					   .owner = owner, .gone = gone };
	list_init(&connection->link);
	watch_init(&connection->watch, watches, fd, on_end);
	/* The kernel reports this whether or not it is asked for, and with it nothing else. */
	if (watch_for(&connection->watch, EPOLLHUP) < 0)
		return connection_free(connection);
	return connection;
}

struct connection *connection_free(struct connection *connection)
{
	if (!connection)
		return NULL;
	list_leave(&connection->link);
	watch_stop(&connection->watch);
	ledger_close(connection->ledger, connection->account);
	connection_close(&connection->fd);
	free(connection);
	return NULL;
}

int connection_give_back(struct connection *connection)
{
	int fd = steal_fd(&connection->fd);

	list_leave(&connection->link);
	watch_stop(&connection->watch);
	free(connection);
	return fd;
}
