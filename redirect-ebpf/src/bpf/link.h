/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What a pod may say on its link: under its own link-layer address, and of itself only. */
#pragma once

#include "report.h"

#define ROUTER_ADVERTISEMENT 134
#define NEIGHBOUR_ADVERTISEMENT 136
#define REDIRECT 137

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	for (int i = 0; i < ETH_ALEN; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

/* Whether a link-layer address in a frame is the pod's, where that matters. */
static __always_inline int is_pod_mac(struct __sk_buff *skb, const struct device *device,
				      __u32 offset)
{
	__u8 unknown[ETH_ALEN] = {}, mac[ETH_ALEN];

	if (device->flags & DEVICE_NO_MAC || same_mac(device->pod_mac, unknown))
		return 1;
	return !bpf_skb_load_bytes(skb, offset, mac, sizeof(mac)) && same_mac(mac, device->pod_mac);
}

static __always_inline int is_link_local(const struct address *address)
{
	return (address->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline int is_unspecified(const struct address *address)
{
	return !(address->word[0] | address->word[1] | address->word[2] | address->word[3]);
}

static __always_inline int is_link_multicast(const struct address *address)
{
	return (address->word[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xff020000);
}

/*
 * Whether a packet of neighbour discovery stays on the device's link, so that no policy is asked.
 * What the hop limit says of the way so far holds for the rest of it only if the destination is
 * not behind a router.
 */
static __noinline int stays_on_link(const struct packet *p, const struct device *device)
{
	const struct address *to = &p->tuple.destination;
	struct endpoint *pod;
	struct device *other;
	__u32 ifindex;

	if (!p->neighbour)
		return 0;
	if (is_link_local(to) || is_link_multicast(to))
		return 1;
	if (bpf_map_lookup_elem(&node, to))
		return 1;
	pod = bpf_map_lookup_elem(&endpoints, to);
	if (!pod || !device->bridge)
		return 0;
	ifindex = pod->ifindex;
	other = bpf_map_lookup_elem(&devices, &ifindex);
	return other && other->bridge == device->bridge;
}

/* Whether neighbour discovery from a pod says something of another: that it is a router, or has
 * an address that is not its own. */
static __always_inline int lies(struct __sk_buff *skb, const struct packet *p)
{
	struct endpoint *owner;
	struct address target;

	if (!p->neighbour)
		return 0;
	if (p->tuple.icmp_type == ROUTER_ADVERTISEMENT || p->tuple.icmp_type == REDIRECT)
		return 1;
	if (p->tuple.icmp_type != NEIGHBOUR_ADVERTISEMENT)
		return 0;
	if (bpf_skb_load_bytes(skb, p->header.transport + sizeof(struct icmp), &target,
			       sizeof(target)))
		return 1;
	if (bpf_map_lookup_elem(&node, &target))
		return 1;
	if (is_link_local(&target))
		return 0;
	owner = bpf_map_lookup_elem(&endpoints, &target);
	return !owner || owner->ifindex != skb->ifindex;
}

/* The sender of an ARP packet must be the pod, or nobody (a probe). */
static __always_inline int arp_lies(struct __sk_buff *skb, const struct device *device,
				    struct packet *p)
{
	struct endpoint *sender;
	__be32 ipv4;

	if (!is_pod_mac(skb, device, ETH_HLEN + 8) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + 14, &ipv4, sizeof(ipv4)))
		return 1;
	if (!ipv4)
		return 0;
	map_ipv4(&p->tuple.source, ipv4);
	sender = bpf_map_lookup_elem(&endpoints, &p->tuple.source);
	return !sender || sender->ifindex != skb->ifindex;
}
