/* SPDX-License-Identifier: MIT */
/*
 * What the messages consist of, as tables: one row per member of a JSON object, with its place in
 * the C struct. Decoder, encoder and the test of io.ktlsd.varlink all read the same rows.
 */
#pragma once

#include "proto/message.h"

enum proto_kind {
	PROTO_KIND_STRING,	/* char *; least to most bytes */
	PROTO_KIND_TEXT,	/* char[most], escaped, and cut to that */
	PROTO_KIND_STRINGS,	/* struct proto_strings; least to most of them; judge looks at each */
	PROTO_KIND_PINS,	/* least to most pins and n_pins of the struct proto_trust at offset */
	PROTO_KIND_INTEGER,	/* unsigned, of size bytes; least to most */
	PROTO_KIND_BOOL,
	PROTO_KIND_WORD,	/* an enum; the first word stands for values that have none */
	PROTO_KIND_ERRNO,	/* int */
	PROTO_KIND_CONSTANT,	/* const char *, which nobody frees; written only, and so are: */
	PROTO_KIND_OBJECTS,	/* struct proto_list, of structs of size bytes; at most most of them */
	PROTO_KIND_OBJECT,	/* a struct */
	PROTO_KIND_PARAMETERS,	/* an object, decoded once it is known what it is; no place */
};

enum proto_presence {
	PROTO_REQUIRED,
	PROTO_OPTIONAL,		/* left out where it is empty; null and absent are the same */
	PROTO_NULLABLE,		/* the same, but written as null */
};

struct proto_word {
	const char *word;
	int value;
};

struct proto_field {
	const char *name;
	enum proto_kind kind;
	enum proto_presence presence;
	size_t offset, size;
	size_t least, most;
	const char *(*judge)(const char *text);	/* NULL: fit; else what is wrong with it */
	const struct proto_word *words;		/* up to one without word */
	const struct proto_schema *schema;	/* of the object */
};

struct proto_schema {
	const char *type;	/* its name in io.ktlsd.varlink */
	const struct proto_field *fields;
	size_t n;
};

/* Around every call and reply. */
struct proto_envelope {
	char *method;	/* of a call */
	bool oneway, more, upgrade;
	char *error;	/* of a reply */
};

/* What Connect returns. */
struct proto_connected {
	unsigned int fd_index;
	struct proto_session session;
};

/* What Probe returns. */
struct proto_probed {
	struct proto_session session;
	struct proto_probe probe;
};

struct proto_method_info {
	const char *name;
	enum proto_method method;
	bool hands_over;			/* a socket comes with the reply */
	const struct proto_schema *parameters;
	size_t offset;				/* of their struct in struct proto_call */
};

extern const struct proto_schema proto_schema_call;	/* struct proto_envelope */
extern const struct proto_schema proto_schema_reply;	/* struct proto_envelope */
extern const struct proto_schema proto_schema_connect;	/* struct proto_connect */
extern const struct proto_schema proto_schema_connected; /* struct proto_connected */
extern const struct proto_schema proto_schema_probed;	/* struct proto_probed */
extern const struct proto_schema proto_schema_timings;	/* struct proto_timings */
extern const struct proto_schema proto_schema_trace;	/* struct proto_trace */
extern const struct proto_schema proto_schema_report;	/* struct proto_report */
extern const struct proto_schema proto_schema_capabilities; /* struct proto_capabilities */

/* Parameters of an error, of struct proto_status; error is in the table. */
const struct proto_schema *proto_schema_of_error(enum proto_error error);
/* NULL: there is no such method. */
const struct proto_method_info *proto_method_find(const char *name);
/* The interfaces served; NULL after the last. */
const char *proto_interface(size_t i);

/* Frees what the struct owns by its schema, and leaves NULL in its place. */
void proto_schema_free(const struct proto_schema *schema, void *base);
