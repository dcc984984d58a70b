/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Every pod's share of the memory for flows that cost a sender nothing. A pod that begins many
 * pushes its own older ones out of its share, into room that all pods have in common; what others
 * do never touches its share.
 */
#pragma once

#include "policy.h"

/* Whose flow it is: the sender's, or the receiver's of one that comes from elsewhere. */
static __always_inline __u32 share_of(const struct tuple *tuple)
{
	struct endpoint *owner = bpf_map_lookup_elem(&endpoints, &tuple->source);

	if (!owner)
		owner = bpf_map_lookup_elem(&endpoints, &tuple->destination);
	return owner ? owner->id % SHARES : 0;
}

/* The next place in the ring of a flow's share. */
static __always_inline struct tuple *next_place(const struct tuple *tuple)
{
	__u32 zero = 0, share = share_of(tuple), place;
	struct config *settings = bpf_map_lookup_elem(&config, &zero);
	__u32 *head = bpf_map_lookup_elem(&share_heads, &share);

	if (!settings || !settings->share || !head)
		return 0;
	place = share * settings->share + __sync_fetch_and_add(head, 1) % settings->share;
	return bpf_map_lookup_elem(&shares, &place);
}

/* The flow that has the place makes way. */
static __noinline int spill(const struct tuple *place)
{
	struct tuple old = *place;
	struct flow *flow, moved;

	flow = bpf_map_lookup_elem(&other_flows, &old);
	if (!flow)
		return 0;
	moved = *flow;
	bpf_map_update_elem(&spilled_flows, &old, &moved, BPF_ANY);
	bpf_map_delete_elem(&other_flows, &old);
	count(COUNTER_SPILLED);
	return 0;
}

/* Remembers a flow that is not of TCP. */
static __noinline int share_flow(const struct tuple *tuple, const struct flow *flow)
{
	struct tuple *place;

	if (!bpf_map_update_elem(&other_flows, tuple, flow, BPF_EXIST) ||
	    !bpf_map_update_elem(&spilled_flows, tuple, flow, BPF_EXIST))
		return 0;
	place = next_place(tuple);
	if (!place)
		return 0;
	spill(place);
	*place = *tuple;
	bpf_map_update_elem(&other_flows, tuple, flow, BPF_ANY);
	return 0;
}
