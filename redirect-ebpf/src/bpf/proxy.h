/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Giving packets to the proxy. */
#pragma once

#include <linux/pkt_cls.h>

#include "report.h"

#define PACKET_HOST 0

/* Delivers to this node's stack. */
static __always_inline int deliver(struct __sk_buff *skb, const struct device *device)
{
	skb->mark = (skb->mark & ~MARK_MASK) | MARK_TO_PROXY;
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	/* A bridge would carry the frame to the other pod, past the proxy. What is addressed to one
	 * of its ports it delivers here. */
	if (device->bridge && bpf_skb_store_bytes(skb, 0, device->mac, 6, 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

static __always_inline struct bpf_sock *find_tcp(struct __sk_buff *skb, const struct tuple *tuple,
						 int ipv6)
{
	struct bpf_sock_tuple key = {};

	if (ipv6) {
		__builtin_memcpy(key.ipv6.saddr, &tuple->source, sizeof(key.ipv6.saddr));
		__builtin_memcpy(key.ipv6.daddr, &tuple->destination, sizeof(key.ipv6.daddr));
		key.ipv6.sport = tuple->source_port;
		key.ipv6.dport = tuple->destination_port;
		return bpf_skc_lookup_tcp(skb, &key, sizeof(key.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	key.ipv4.saddr = tuple->source.word[3];
	key.ipv4.daddr = tuple->destination.word[3];
	key.ipv4.sport = tuple->source_port;
	key.ipv4.dport = tuple->destination_port;
	return bpf_skc_lookup_tcp(skb, &key, sizeof(key.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/*
 * Whether `tuple` is a connection of the proxy: one that it accepted or one that it opened, under
 * its client's address perhaps. `skb` is not NULL if the packet itself belongs to it.
 *
 * Only a full socket shows its mark. The two small kinds are known otherwise:
 * - a handshake in progress, by `proxied`, written when its SYN was steered here;
 * - TIME_WAIT, by `proxied` or by the source ports that only the proxy uses. The node's own
 *   sockets in that port range are delivered to the node in any case, so a mistake is harmless.
 *   A SYN begins a connection anew: it must be judged.
 */
static __noinline int owned(struct __sk_buff *skb, const struct packet *p,
			    const struct tuple *tuple, const struct config *config)
{
	struct bpf_sock *sk = find_tcp(skb, tuple, p->ipv6);
	struct bpf_sock *full;
	__u16 port = bpf_ntohs(tuple->destination_port);
	int ours = 0;
	__u32 state;

	if (!sk)
		return 0;
	state = sk->state;
	if (state == BPF_TCP_TIME_WAIT) {
		ours = !is_syn(p) && ((port >= config->port_first && port <= config->port_last) ||
				      bpf_map_lookup_elem(&proxied, tuple));
	} else if (state == BPF_TCP_NEW_SYN_RECV) {
		ours = bpf_map_lookup_elem(&proxied, tuple) != 0;
	} else if (state != BPF_TCP_LISTEN) {
		full = bpf_sk_fullsock(sk);
		ours = full && (full->mark & MARK_MASK) == MARK_FROM_PROXY;
		/* Saves the stack its own search, which would find the same socket. */
		if (ours && !p->has_inner)
			bpf_sk_assign(skb, sk, 0);
	}
	bpf_sk_release(sk);
	return ours;
}

static __always_inline __u32 hash(const struct tuple *tuple)
{
	const __u32 *word = (const __u32 *)tuple;
	__u32 hash = 0x9e3779b9;

	for (int i = 0; i < sizeof(*tuple) / sizeof(*word); i++) {
		hash = (hash ^ word[i]) * 0x85ebca6b;
		hash ^= hash >> 15;
	}
	return hash;
}

/*
 * Sends the flow's packet to the proxy; `sk_lookup` chooses the listener. Packets other than SYN
 * too: the listener answers strays of old connections with a reset, and the last packet of a
 * handshake by SYN cookie finds no socket.
 */
static __noinline int to_proxy(struct __sk_buff *skb, const struct packet *p,
			       const struct device *device, struct judgement *j)
{
	__u32 zero = 0;
	struct config *settings = bpf_map_lookup_elem(&config, &zero);
	struct bpf_sock *listener;
	__u32 *known, slot;

	if (!settings || !settings->workers)
		goto closed;
	slot = hash(&p->tuple) % settings->workers * 2 + p->ipv6;
	listener = bpf_map_lookup_elem(&listeners, &slot);
	if (!listener)
		goto closed;
	bpf_sk_release(listener);
	known = bpf_map_lookup_elem(&proxied, &p->tuple);
	if (!known || *known != slot)
		bpf_map_update_elem(&proxied, &p->tuple, &slot, BPF_ANY);
	if (is_syn(p))
		count(COUNTER_REDIRECTED);
	return deliver(skb, device);
closed:
	j->reason = REASON_NO_PROXY;
	report(p, j, EVENT_DROPPED);
	return TC_ACT_SHOT;
}
