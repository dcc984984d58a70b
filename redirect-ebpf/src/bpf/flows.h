/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * The flows that were allowed. A packet of one passes in both directions while the policy that
 * allowed it is in force; after a change the flow is judged again, in the direction in which it
 * began. One that is then denied stays in the map with its old revision: forgotten, it might be
 * taken for one that began at the other end.
 */
#pragma once

#include "shares.h"

#define SECOND 1000000000ULL
/* After this silence only a new judgement lets a packet pass. */
#define FLOW_LIFE_TCP (8000 * SECOND)
#define FLOW_LIFE_OTHER (60 * SECOND)

/* No verdict: the flow is not known. */
#define VERDICT_UNKNOWN (-1)

static __always_inline int expired(const struct flow *flow, const struct tuple *tuple, __u64 now)
{
	__u64 life = tuple->protocol == IPPROTO_TCP ? FLOW_LIFE_TCP : FLOW_LIFE_OTHER;

	/* Another CPU may have written a moment later than `now`. */
	return now > flow->seen && now - flow->seen > life;
}

static __always_inline struct flow *find_flow(const struct tuple *tuple)
{
	struct flow *flow;

	if (tuple->protocol == IPPROTO_TCP)
		return bpf_map_lookup_elem(&flows, tuple);
	flow = bpf_map_lookup_elem(&other_flows, tuple);
	return flow ? flow : bpf_map_lookup_elem(&spilled_flows, tuple);
}

static __always_inline void forget(const struct tuple *tuple)
{
	if (tuple->protocol == IPPROTO_TCP) {
		bpf_map_delete_elem(&flows, tuple);
		return;
	}
	bpf_map_delete_elem(&other_flows, tuple);
	bpf_map_delete_elem(&spilled_flows, tuple);
}

static __always_inline void remember(const struct tuple *tuple, __u32 flags, __u32 revision)
{
	struct flow flow = {
		.seen = bpf_ktime_get_ns(),
		.revision = revision,
		.flags = flags,
	};

	if (tuple->protocol == IPPROTO_TCP)
		bpf_map_update_elem(&flows, tuple, &flow, BPF_ANY);
	else
		share_flow(tuple, &flow);
}

/* What is known of the flow that began as `tuple`; judges it again if the policy changed. */
static __noinline int recall_as(const struct tuple *tuple, __u32 sides, __u32 revision,
				struct judgement *j)
{
	struct flow *flow = find_flow(tuple);
	__u64 now = bpf_ktime_get_ns();
	int verdict = VERDICT_PASS;

	if (!flow)
		return VERDICT_UNKNOWN;
	if (expired(flow, tuple, now)) {
		forget(tuple);
		return VERDICT_UNKNOWN;
	}
	if (!(flow->flags & FLOW_HOST)) {
		/* Allowed by one side only, as a Service's backend may be: the other is asked too. */
		if ((flow->flags & sides) != sides)
			return VERDICT_UNKNOWN;
		if (flow->revision != revision)
			verdict = judge(tuple, flow->flags, 1, j);
	}
	if (verdict != VERDICT_PASS)
		return verdict;
	flow->revision = revision;
	if (now - flow->seen > SECOND)
		flow->seen = now;
	return VERDICT_PASS;
}

/* A SYN begins a connection and an echo request an exchange, whatever the tuple recalls. */
static __always_inline int may_answer(const struct packet *p)
{
	if (is_icmp(&p->tuple, p->ipv6))
		return p->echo_reply;
	return !is_syn(p);
}

/*
 * Whether an unknown flow may be taken to begin with this packet. One from the middle of a
 * connection, older than the map or evicted from it, does not tell which end began; servers' ports
 * are lower than clients'. Otherwise the packet passes if it is allowed, but opens no way back.
 */
static __always_inline int begins(const struct packet *p)
{
	return p->tuple.protocol != IPPROTO_TCP || is_syn(p) ||
	       bpf_ntohs(p->tuple.destination_port) < bpf_ntohs(p->tuple.source_port);
}

/* What is known of a packet's flow: as one that begins it or as one that answers. */
static __always_inline int recall(struct packet *p, __u32 sides, __u32 revision,
				  struct judgement *j)
{
	struct tuple reversed;
	int verdict;

	verdict = recall_as(&p->tuple, sides, revision, j);
	if (verdict == VERDICT_UNKNOWN && may_answer(p)) {
		reverse(&p->tuple, &reversed);
		verdict = recall_as(&reversed, 0, revision, j);
		/* The connection belongs to the proxy now; its old other end cannot go on. */
		if (verdict == VERDICT_PROXY) {
			j->reason = REASON_NO_PROXY;
			verdict = VERDICT_DROP;
		}
	}
	if (verdict == VERDICT_UNKNOWN && p->echo_reply)
		p->tuple.icmp_type = p->ipv6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY;
	return verdict;
}

/*
 * Whether an ICMP error can be what it says: it goes to whoever sent the packet that it is about.
 * Any router on the way may report that; a pod is none, so only what was sent to itself.
 */
static __always_inline int is_error_of(const struct packet *p, int from_pod)
{
	return p->has_inner && same_address(&p->tuple.destination, &p->inner.source) &&
	       (!from_pod || same_address(&p->tuple.source, &p->inner.destination));
}

/* Whether an ICMP error answers a packet of an allowed flow. */
static __always_inline int answers_flow(struct packet *p, __u32 revision, struct judgement *j)
{
	struct tuple reversed;

	if (recall_as(&p->inner, 0, revision, j) == VERDICT_PASS)
		return 1;
	reverse(&p->inner, &reversed);
	return recall_as(&reversed, 0, revision, j) == VERDICT_PASS;
}
