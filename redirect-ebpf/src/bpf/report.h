/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The events that user space makes flow records of. */
#pragma once

#include "flows.h"

/* For this long a tuple that goes on being dropped is not reported again. */
#define REPORT_AGAIN (60 * SECOND)

/* Whether this drop was reported before: a retransmitted SYN, or more of the same flow. */
static __always_inline int repeated(const struct packet *p, const struct judgement *j, __u64 now)
{
	struct reported *last = bpf_map_lookup_elem(&reported, &p->tuple);
	struct reported next = { .time = now, .sequence = p->sequence, .reason = j->reason };

	if (last && last->reason == j->reason &&
	    (is_syn(p) ? last->sequence == p->sequence : now - last->time < REPORT_AGAIN))
		return 1;
	bpf_map_update_elem(&reported, &p->tuple, &next, BPF_ANY);
	return 0;
}

/* Not inlined, so that the structure is in the object's BTF, where a test reads it. */
static __noinline int fill(struct event *event, const struct packet *p, const struct judgement *j)
{
	event->tuple = p->tuple;
	event->source_identity = j->source_identity;
	event->destination_identity = j->destination_identity;
	event->endpoint = j->endpoint;
	event->direction = j->direction;
	event->reason = j->reason;
	event->unused = 0;
	return 0;
}

static __noinline int report(const struct packet *p, const struct judgement *j, int kind)
{
	__u64 now = bpf_ktime_get_ns();
	struct event *event;

	count(kind == EVENT_DROPPED ? COUNTER_DROPPED : COUNTER_FORWARDED);
	if (kind == EVENT_DROPPED && repeated(p, j, now))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(COUNTER_LOST);
		return 0;
	}
	fill(event, p, j);
	event->time = now;
	event->kind = kind;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
