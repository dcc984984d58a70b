/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Datagrams of several packets. Only the first fragment says between which ports; they are kept
 * for those after it, which are then judged like any packet of that flow. One that comes before
 * its first, or without it, stays unreadable.
 *
 * That is no way around a policy: no datagram is put together without a first fragment, every one
 * that passes was judged by its own ports, and no other fragment can write over them.
 */
#pragma once

#include "report.h"

static __always_inline void fragment_key(const struct packet *p, __u32 ifindex,
					 struct fragment_key *key)
{
	key->source = p->tuple.source;
	key->destination = p->tuple.destination;
	key->id = p->header.fragment_id;
	/* What is seen at one device says nothing of what comes by another. */
	key->ifindex = ifindex;
	key->ipv6 = p->ipv6;
}

/*
 * Remembers a first fragment's ports, and gives a later one those of its first. To be called when
 * the sender is known to be who it says: nobody writes into another's datagrams.
 */
static __noinline int follow_fragment(struct packet *p, __u32 ifindex)
{
	struct fragment_key key = {};
	struct ports ports, *first;

	if (p->header.fragment == FRAGMENT_NONE)
		return 0;
	fragment_key(p, ifindex, &key);
	if (p->header.fragment == FRAGMENT_FIRST) {
		if (!p->readable) {
			bpf_map_delete_elem(&fragments, &key);
			return 0;
		}
		ports.source = p->tuple.source_port;
		ports.destination = p->tuple.destination_port;
		bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
		return 0;
	}
	/* In IPv6 the first fragment alone says which protocol it is. */
	if (!p->ipv6 && p->tuple.protocol != IPPROTO_UDP)
		return 0;
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first) {
		count(COUNTER_ORPHANS);
		return 0;
	}
	p->tuple.source_port = first->source;
	p->tuple.destination_port = first->destination;
	p->tuple.protocol = IPPROTO_UDP;
	p->readable = 1;
	return 0;
}
