/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * What the programs and user space share: the layouts of map keys and values and the numbers in
 * them. `src/abi.rs` says the same in Rust and a test compares the two through BTF. Whoever
 * changes a layout here raises `LAYOUT` there.
 */
#pragma once

#include <linux/types.h>

/* skb->mark, also SO_MARK: the bits that are ours and what they say. */
#define MARK_MASK 0x0f00
#define MARK_TO_PROXY 0x0200   /* `ip rule fwmark 0x200/0xf00`: deliver locally */
#define MARK_FROM_PROXY 0x0b00 /* set by the proxy on its listeners and upstream sockets */

/* An address: IPv6, or IPv4 mapped into it (::ffff:a.b.c.d), in network order. */
struct address {
	__u32 word[4];
};

/*
 * Who talks to whom. Ports in network order. For an ICMP echo, request and reply alike, both
 * ports hold the identifier; for other ICMP and for protocols without ports they are 0.
 */
struct tuple {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 icmp_type; /* an echo reply of a known echo counts as its request */
	__u8 unused[2];
};

enum direction {
	DIRECTION_INGRESS,
	DIRECTION_EGRESS,
};

/* struct endpoint, struct device: what holds of the pod. */
enum endpoint_flag {
	INGRESS_ENFORCED = 1 << 0, /* only what an entry allows passes */
	EGRESS_ENFORCED = 1 << 1,
	INGRESS_CLOSED = 1 << 2, /* nothing new passes, whatever the entries say */
	EGRESS_CLOSED = 1 << 3,
	DEVICE_NO_MAC = 1 << 5, /* packets begin with the IP header */
};

/* A pod of this node, found by any of its addresses. */
struct endpoint {
	__u32 id;
	__u32 policy; /* the set of policy entries in force; replaced as a whole */
	__u32 ifindex; /* host end of its veth */
	__u32 flags;
};

/* A device that carries our programs. */
struct device {
	__u32 flags;
	__u32 bridge; /* the bridge that it is a port of: frames would not be delivered here */
	__u8 mac[6]; /* its own */
	__u8 pod_mac[6]; /* the pod's, where others on the bridge depend on it; else 0 */
};

struct identity_key {
	__u32 prefix;
	struct address address;
};

/*
 * The prefix length counts from `policy`: the first three fields always, then protocol (8 bits)
 * and port (16). Identity 0 holds the entries for any peer. For ICMP the port is the type.
 */
struct policy_key {
	__u32 prefix;
	__u32 policy;
	__u32 identity;
	__u8 direction;
	__u8 protocol;
	__be16 port;
};
#define POLICY_PREFIX_PEER 72
#define POLICY_PREFIX_FULL 96

enum action {
	ACTION_ALLOW,
	ACTION_DENY,
	ACTION_REDIRECT,
};

struct policy_value {
	__u32 precedence;
	__u8 action;
	__u8 length; /* prefix bits beyond POLICY_PREFIX_PEER */
	__u8 whole; /* no narrower entry can say otherwise: holds for packets without readable ports */
	__u8 unused;
};

/* A destination that always goes to the proxy. Port and protocol 0: the address has some. */
struct frontend {
	struct address address;
	__be16 port;
	__u8 protocol;
	__u8 unused;
};

enum frontend_flag {
	FRONTEND_OUTSIDE = 1 << 0, /* for packets from uplinks too, not from pods only */
};

enum flow_flag {
	FLOW_INGRESS = 1 << 0, /* the destination's ingress policy was asked */
	FLOW_EGRESS = 1 << 1,  /* the source's egress policy was asked */
	FLOW_HOST = 1 << 2,    /* begun by the node itself: always allowed */
};

/* An allowed flow, under its tuple in the direction in which it began. */
struct flow {
	__u64 seen; /* last packet, nanoseconds of the monotonic clock, to a second */
	__u32 revision; /* of the policy that allowed it */
	__u32 flags;
};

struct config {
	__u32 revision;
	__u32 workers;
	__u16 port_first; /* the proxy's upstream source ports, host order, both included */
	__u16 port_last;
	__u32 share; /* flows of other protocols than TCP that every pod can have whatever others do */
};

/* Pods are told apart by their number modulo this. */
#define SHARES 256

enum event_kind {
	EVENT_DROPPED,
	EVENT_FORWARDED,
};

enum reason {
	REASON_NONE,
	REASON_DEFAULT_DENY, /* enforced, and no entry allows it */
	REASON_DENY_RULE,
	REASON_CLOSED,
	REASON_SPOOFED, /* as another: source address, link-layer address, neighbour, router */
	REASON_UNREADABLE, /* fragment, IP options, unknown header, not IP */
	REASON_NO_PROXY,   /* policy sends it to the proxy, which cannot take it */
};

struct event {
	__u64 time; /* nanoseconds of the monotonic clock */
	struct tuple tuple;
	__u32 source_identity;
	__u32 destination_identity;
	__u32 endpoint; /* the pod whose policy decided; 0: none */
	__u8 kind;
	__u8 direction;
	__u8 reason;
	__u8 unused;
};

/* The last event of a tuple, to tell a repetition. */
struct reported {
	__u64 time;
	__u32 sequence; /* TCP sequence number: a retransmission has the same */
	__u32 reason;
};

/* The fragments of one datagram at one device. IPv6 does not tell them apart by protocol; of IPv4
 * only those of UDP are looked for. */
struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 ifindex;
	__u32 ipv6;
};

/* In network order. */
struct ports {
	__be16 source;
	__be16 destination;
};

enum counter {
	COUNTER_FORWARDED,  /* new flows allowed */
	COUNTER_REDIRECTED, /* new flows sent to the proxy */
	COUNTER_DROPPED,    /* packets */
	COUNTER_LOST,	    /* events that found the ring full */
	COUNTER_ORPHANS,    /* fragments of datagrams whose first fragment was not seen before */
	COUNTER_SPILLED,    /* flows that had to leave their pod's share for the room that all have */
	COUNTERS,
};
