/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Reading a packet: what is needed for a verdict, or that it cannot be read. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define IPV4_OFFSET 0x1fff
#define IPV6_OFFSET 0xfff8
#define IPV6_EXTENSIONS 6 /* headers skipped before a packet counts as unreadable */
#define UDP_HEADER 8

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO 8
#define ICMPV6_ECHO 128
#define ICMPV6_ECHO_REPLY 129

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Which part of a datagram a packet is. */
enum fragment {
	FRAGMENT_NONE, /* all of it */
	FRAGMENT_FIRST,
	FRAGMENT_LATER,
};

struct header {
	__u32 transport; /* offset of the transport header */
	__u32 fragment_id;
	int length; /* bytes from `transport` on, by the IP header */
	__u8 hop_limit;
	__u8 fragment;
};

struct packet {
	struct tuple tuple;
	struct tuple inner; /* ICMP error: the tuple of the packet that it answers */
	struct header header;
	__u32 sequence;
	__u8 tcp_flags;
	__u8 ipv6;
	__u8 readable; /* protocol and ports are known */
	__u8 neighbour; /* neighbour discovery or multicast listener report of this link */
	__u8 echo_reply;
	__u8 has_inner;
};

static __always_inline void map_ipv4(struct address *address, __be32 ipv4)
{
	address->word[0] = 0;
	address->word[1] = 0;
	address->word[2] = bpf_htonl(0xffff);
	address->word[3] = ipv4;
}

static __always_inline int same_address(const struct address *a, const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

static __always_inline void reverse(const struct tuple *tuple, struct tuple *reversed)
{
	*reversed = *tuple;
	reversed->source = tuple->destination;
	reversed->destination = tuple->source;
	reversed->source_port = tuple->destination_port;
	reversed->destination_port = tuple->source_port;
}

static __always_inline int is_syn(const struct packet *p)
{
	return p->tuple.protocol == IPPROTO_TCP &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

static __always_inline int read_ipv4(struct __sk_buff *skb, __u32 offset,
				     struct header *header, struct tuple *tuple)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return 0;
	map_ipv4(&tuple->source, ip.saddr);
	map_ipv4(&tuple->destination, ip.daddr);
	tuple->protocol = ip.protocol;
	header->transport = offset + sizeof(ip);
	header->length = bpf_ntohs(ip.tot_len) - (int)sizeof(ip);
	header->hop_limit = ip.ttl;
	/* Options may route the packet elsewhere than its address says. */
	if (ip.version != 4 || ip.ihl != 5)
		return 0;
	if (!(ip.frag_off & bpf_htons(IPV4_FRAGMENT)))
		return 1;
	header->fragment_id = ip.id;
	header->fragment = ip.frag_off & bpf_htons(IPV4_OFFSET) ? FRAGMENT_LATER : FRAGMENT_FIRST;
	return 0;
}

/* The fragment header of RFC 8200. */
struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

static __always_inline void read_fragment(struct __sk_buff *skb, __u32 offset,
					  struct header *header, struct tuple *tuple)
{
	struct fragment_header fragment;

	if (bpf_skb_load_bytes(skb, offset, &fragment, sizeof(fragment)))
		return;
	tuple->protocol = fragment.next;
	header->transport += sizeof(fragment);
	header->length -= sizeof(fragment);
	header->fragment_id = fragment.id;
	header->fragment =
		fragment.offset & bpf_htons(IPV6_OFFSET) ? FRAGMENT_LATER : FRAGMENT_FIRST;
}

static __always_inline int read_ipv6(struct __sk_buff *skb, __u32 offset,
				     struct header *header, struct tuple *tuple)
{
	__u32 start = offset;
	struct ipv6hdr ip;
	__u8 extension[2];
	__u8 next;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return 0;
	__builtin_memcpy(&tuple->source, &ip.saddr, sizeof(tuple->source));
	__builtin_memcpy(&tuple->destination, &ip.daddr, sizeof(tuple->destination));
	header->hop_limit = ip.hop_limit;
	next = ip.nexthdr;
	offset += sizeof(ip);
	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
			return 0;
		next = extension[0];
		offset += (extension[1] + 1) * 8;
	}
	tuple->protocol = next;
	header->length = bpf_ntohs(ip.payload_len) + (int)sizeof(ip) - (int)(offset - start);
	header->transport = offset;
	if (ip.version == 6 && next == IPPROTO_FRAGMENT)
		read_fragment(skb, offset, header, tuple);
	/* Routing, fragment and authentication headers and whatever is unknown may hide another
	 * protocol behind them; a number alone does not tell. */
	return ip.version == 6 && (next == IPPROTO_TCP || next == IPPROTO_UDP ||
				   next == IPPROTO_SCTP || next == IPPROTO_ICMPV6);
}

static __always_inline int read_ports(struct __sk_buff *skb, __u32 offset, struct tuple *tuple)
{
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
		return 0;
	tuple->source_port = ports[0];
	tuple->destination_port = ports[1];
	return 1;
}

struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 identifier;
	__be16 sequence;
};

/* Type and, for an echo, identifier. Returns whether it is an echo reply, or -1. */
static __always_inline int read_icmp(struct __sk_buff *skb, __u32 offset, int ipv6,
				     struct tuple *tuple)
{
	__u8 request = ipv6 ? ICMPV6_ECHO : ICMP_ECHO;
	__u8 reply = ipv6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY;
	struct icmp icmp;

	if (bpf_skb_load_bytes(skb, offset, &icmp, sizeof(icmp)))
		return -1;
	tuple->icmp_type = icmp.type;
	if (icmp.type != request && icmp.type != reply)
		return 0;
	tuple->icmp_type = request;
	tuple->source_port = icmp.identifier;
	tuple->destination_port = icmp.identifier;
	return icmp.type == reply;
}

static __always_inline int is_icmp(const struct tuple *tuple, int ipv6)
{
	return tuple->protocol == (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static __always_inline int has_ports(const struct tuple *tuple)
{
	return tuple->protocol == IPPROTO_TCP || tuple->protocol == IPPROTO_UDP ||
	       tuple->protocol == IPPROTO_SCTP;
}

/* Destination unreachable, packet too big, time exceeded, parameter problem. */
static __always_inline int is_icmp_error(__u8 type, int ipv6)
{
	return ipv6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* Neighbour discovery cannot have crossed a router if its hop limit is 255; multicast listener
 * reports are sent with 1. */
static __always_inline int is_neighbour(__u8 type, __u8 hop_limit)
{
	return (type >= 133 && type <= 137 && hop_limit == 255) ||
	       (((type >= 130 && type <= 132) || type == 143) && hop_limit == 1);
}

/* The packet within an ICMP error. */
static __always_inline int read_inner(struct __sk_buff *skb, struct packet *p)
{
	__u32 offset = p->header.transport + sizeof(struct icmp);
	struct header inner = {};

	if (p->ipv6 ? !read_ipv6(skb, offset, &inner, &p->inner) :
		      !read_ipv4(skb, offset, &inner, &p->inner))
		return 0;
	if (has_ports(&p->inner))
		return read_ports(skb, inner.transport, &p->inner);
	if (is_icmp(&p->inner, p->ipv6))
		return read_icmp(skb, inner.transport, p->ipv6, &p->inner) >= 0;
	return 1;
}

static __always_inline int read_transport(struct __sk_buff *skb, struct packet *p)
{
	struct tuple *tuple = &p->tuple;
	__u8 tcp[14];
	int reply;

	if (has_ports(tuple) && !read_ports(skb, p->header.transport, tuple))
		return 0;
	if (tuple->protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, p->header.transport, tcp, sizeof(tcp)))
			return 0;
		__builtin_memcpy(&p->sequence, tcp + 4, sizeof(p->sequence));
		p->tcp_flags = tcp[13];
	}
	if (is_icmp(tuple, p->ipv6)) {
		reply = read_icmp(skb, p->header.transport, p->ipv6, tuple);
		if (reply < 0)
			return 0;
		p->echo_reply = reply;
		p->neighbour = p->ipv6 && is_neighbour(tuple->icmp_type, p->header.hop_limit);
		if (is_icmp_error(tuple->icmp_type, p->ipv6))
			p->has_inner = read_inner(skb, p);
	}
	return 1;
}

/*
 * Ports of a datagram's first fragment. It must have the whole UDP header: then no other fragment
 * reaches the ports, as the next begins behind them. What else is fragmented is unreadable.
 */
static __always_inline int read_first(struct __sk_buff *skb, struct packet *p)
{
	return p->header.fragment == FRAGMENT_FIRST && p->tuple.protocol == IPPROTO_UDP &&
	       p->header.length >= UDP_HEADER && read_ports(skb, p->header.transport, &p->tuple);
}

/*
 * Reads an IP packet. Returns 0 if it is not IP at all, or if it carries a VLAN tag: then it is
 * for another device. `readable` says whether protocol and ports are known; if not, only the
 * addresses are.
 */
static __always_inline int read_packet(struct __sk_buff *skb, __u32 device_flags, struct packet *p)
{
	__u32 offset = device_flags & DEVICE_NO_MAC ? 0 : ETH_HLEN;

	if (skb->vlan_present)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		p->readable = read_ipv4(skb, offset, &p->header, &p->tuple);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		p->ipv6 = 1;
		p->readable = read_ipv6(skb, offset, &p->header, &p->tuple);
	} else {
		return 0;
	}
	if (p->readable)
		p->readable = read_transport(skb, p);
	else
		p->readable = read_first(skb, p);
	return 1;
}
