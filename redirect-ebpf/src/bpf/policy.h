/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Whether a flow is allowed: the source's egress policy and the destination's ingress policy. */
#pragma once

#include "maps.h"
#include "packet.h"

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

enum verdict {
	VERDICT_PASS,
	VERDICT_DROP,
	VERDICT_PROXY,
};

/* A verdict and what is reported of it. */
struct judgement {
	__u32 source_identity;
	__u32 destination_identity;
	__u32 endpoint;
	__u8 direction;
	__u8 reason;
};

static __always_inline __u32 identity_of(const struct address *address)
{
	struct identity_key key = { .prefix = 128, .address = *address };
	__u32 *identity = bpf_map_lookup_elem(&identities, &key);

	return identity ? *identity : 0;
}

/* The deciding entry: the higher precedence, then the narrower one, then the peer's own. */
static __always_inline const struct policy_value *deciding(const struct policy_value *own,
							   const struct policy_value *any)
{
	if (!own || !any)
		return own ? own : any;
	if (own->precedence != any->precedence)
		return own->precedence > any->precedence ? own : any;
	return any->length > own->length ? any : own;
}

static __always_inline __be16 policy_port(const struct tuple *tuple)
{
	if (tuple->protocol == IPPROTO_ICMP || tuple->protocol == IPPROTO_ICMPV6)
		return bpf_htons(tuple->icmp_type);
	return tuple->destination_port;
}

/* One direction of one endpoint's policy. */
static __noinline int decide(const struct endpoint *endpoint, const struct tuple *tuple,
			     int readable, struct judgement *j)
{
	__u32 egress = j->direction == DIRECTION_EGRESS;
	const struct policy_value *own, *any, *entry;
	struct policy_key key = {
		.prefix = readable ? POLICY_PREFIX_FULL : POLICY_PREFIX_PEER,
		.policy = endpoint->policy,
		.direction = j->direction,
		.protocol = readable ? tuple->protocol : 0,
		.port = readable ? policy_port(tuple) : 0,
	};

	j->endpoint = endpoint->id;
	if (endpoint->flags & (egress ? EGRESS_CLOSED : INGRESS_CLOSED)) {
		j->reason = REASON_CLOSED;
		return VERDICT_DROP;
	}
	if (!(endpoint->flags & (egress ? EGRESS_ENFORCED : INGRESS_ENFORCED)))
		return VERDICT_PASS;
	any = bpf_map_lookup_elem(&policy, &key);
	key.identity = egress ? j->destination_identity : j->source_identity;
	own = key.identity ? bpf_map_lookup_elem(&policy, &key) : 0;
	entry = deciding(own, any);
	j->reason = REASON_DEFAULT_DENY;
	if (!entry) {
		/* A narrower entry may allow it, but which port it is for is not known. */
		if (!readable)
			j->reason = REASON_UNREADABLE;
		return VERDICT_DROP;
	}
	if (entry->action == ACTION_DENY) {
		j->reason = REASON_DENY_RULE;
		return VERDICT_DROP;
	}
	if (!readable && (!entry->whole || entry->action != ACTION_ALLOW)) {
		j->reason = REASON_UNREADABLE;
		return VERDICT_DROP;
	}
	j->reason = REASON_NONE;
	return entry->action == ACTION_REDIRECT ? VERDICT_PROXY : VERDICT_PASS;
}

/*
 * Judges a flow in the direction in which it began. `sides` (FLOW_EGRESS, FLOW_INGRESS) says
 * whose policy is asked; a side that is no pod of this node has none. A denial by either wins,
 * then the proxy; only TCP can go there. A pod may talk to itself, if it is known to have sent
 * the packet: its address as the source alone says nothing.
 */
static __noinline int judge(const struct tuple *tuple, __u32 sides, int readable,
			    struct judgement *j)
{
	struct endpoint *source = bpf_map_lookup_elem(&endpoints, &tuple->source);
	struct endpoint *destination = bpf_map_lookup_elem(&endpoints, &tuple->destination);
	int egress = VERDICT_PASS, ingress = VERDICT_PASS;

	j->source_identity = identity_of(&tuple->source);
	j->destination_identity = identity_of(&tuple->destination);
	j->endpoint = 0;
	j->reason = REASON_NONE;
	j->direction = DIRECTION_EGRESS;
	if (sides & FLOW_EGRESS && source && destination && source->id == destination->id)
		return VERDICT_PASS;
	if (source && (sides & FLOW_EGRESS)) {
		egress = decide(source, tuple, readable, j);
		if (egress == VERDICT_DROP)
			return VERDICT_DROP;
	}
	if (destination && (sides & FLOW_INGRESS)) {
		j->direction = DIRECTION_INGRESS;
		ingress = decide(destination, tuple, readable, j);
		if (ingress == VERDICT_DROP)
			return VERDICT_DROP;
	}
	if (egress != VERDICT_PROXY && ingress != VERDICT_PROXY)
		return VERDICT_PASS;
	if (tuple->protocol == IPPROTO_TCP)
		return VERDICT_PROXY;
	j->reason = REASON_NO_PROXY;
	return VERDICT_DROP;
}
