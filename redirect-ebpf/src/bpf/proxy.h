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

/* The addresses of `tuple` as the kernel's search for sockets takes them; returns their size. */
static __always_inline __u32 socket_key(const struct tuple *tuple, int ipv6,
					struct bpf_sock_tuple *key)
{
	if (ipv6) {
		__builtin_memcpy(key->ipv6.saddr, &tuple->source, sizeof(key->ipv6.saddr));
		__builtin_memcpy(key->ipv6.daddr, &tuple->destination, sizeof(key->ipv6.daddr));
		key->ipv6.sport = tuple->source_port;
		key->ipv6.dport = tuple->destination_port;
		return sizeof(key->ipv6);
	}
	key->ipv4.saddr = tuple->source.word[3];
	key->ipv4.daddr = tuple->destination.word[3];
	key->ipv4.sport = tuple->source_port;
	key->ipv4.dport = tuple->destination_port;
	return sizeof(key->ipv4);
}

/* Whether a port is one of those that only the proxy sends from. */
static __always_inline int is_proxy_port(__be16 port, const struct config *config)
{
	__u16 number = bpf_ntohs(port);

	return number >= config->port_first && number <= config->port_last;
}

/*
 * Whether `tuple` is a connection of the proxy: one that it accepted or one that it opened, under
 * its client's address perhaps.
 *
 * Only a full socket shows its mark. The two small kinds are known otherwise:
 * - a handshake in progress, by `proxied`, written when its SYN was steered here;
 * - TIME_WAIT, by `proxied` or by the source ports that only the proxy uses. The node's own
 *   sockets in that port range are delivered to the node in any case, so a mistake is harmless.
 *   A SYN begins a connection anew: it must be judged.
 */
static __noinline int owned_tcp(struct __sk_buff *skb, const struct packet *p,
				const struct tuple *tuple, const struct config *config)
{
	struct bpf_sock_tuple key = {};
	__u32 size = socket_key(tuple, p->ipv6, &key);
	struct bpf_sock *sk, *full;
	int ours = 0;
	__u32 state;

	if (size == sizeof(key.ipv6))
		sk = bpf_skc_lookup_tcp(skb, &key, sizeof(key.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(skb, &key, sizeof(key.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	state = sk->state;
	if (state == BPF_TCP_TIME_WAIT) {
		ours = !is_syn(p) && (is_proxy_port(tuple->destination_port, config) ||
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

/*
 * Whether `tuple` answers a flow of datagrams that the proxy opened. Its sockets are connected:
 * the kernel's search finds them for their endpoint's datagrams only, and no other socket of UDP
 * is in that state. Under a client's address they have the proxy's ports.
 */
static __noinline int owned_udp(struct __sk_buff *skb, const struct packet *p,
				const struct tuple *tuple, const struct config *config)
{
	struct bpf_sock_tuple key = {};
	struct bpf_sock *sk;
	int ours;

	if (!is_proxy_port(tuple->destination_port, config) &&
	    !bpf_map_lookup_elem(&node, &tuple->destination))
		return 0;
	if (socket_key(tuple, p->ipv6, &key) == sizeof(key.ipv6))
		sk = bpf_sk_lookup_udp(skb, &key, sizeof(key.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, &key, sizeof(key.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	ours = sk->state == BPF_TCP_ESTABLISHED && (sk->mark & MARK_MASK) == MARK_FROM_PROXY;
	/* Fragments have a socket only when they are put together. */
	if (ours && !p->has_inner && p->header.fragment == FRAGMENT_NONE)
		bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return ours;
}

/* Whether a flow is the proxy's. The packet itself belongs to it, or is an ICMP error about it. */
static __always_inline int owned(struct __sk_buff *skb, const struct packet *p,
				 const struct tuple *tuple, const struct config *config)
{
	if (tuple->protocol == IPPROTO_TCP)
		return owned_tcp(skb, p, tuple, config);
	return tuple->protocol == IPPROTO_UDP && owned_udp(skb, p, tuple, config);
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

/* The slot of the listener that a flow belongs to, or -1. */
static __always_inline int slot_of(const struct tuple *tuple, int ipv6,
				   const struct config *config)
{
	int kind = tuple->protocol == IPPROTO_UDP ? 2 : 0;

	if (!config || !config->workers)
		return -1;
	return hash(tuple) % config->workers * 4 + kind + (ipv6 ? 1 : 0);
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
	int found = slot_of(&p->tuple, p->ipv6, settings);
	__u32 *known, slot;

	if (found < 0)
		goto closed;
	slot = found;
	listener = bpf_map_lookup_elem(&listeners, &slot);
	if (!listener)
		goto closed;
	bpf_sk_release(listener);
	if (p->tuple.protocol == IPPROTO_TCP) {
		known = bpf_map_lookup_elem(&proxied, &p->tuple);
		if (!known || *known != slot)
			bpf_map_update_elem(&proxied, &p->tuple, &slot, BPF_ANY);
	}
	if (is_syn(p))
		count(COUNTER_REDIRECTED);
	return deliver(skb, device);
closed:
	j->reason = REASON_NO_PROXY;
	report(p, j, EVENT_DROPPED);
	return TC_ACT_SHOT;
}
