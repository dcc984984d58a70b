// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The programs. Names of what they do: `from_pod` at the ingress hook of the host end of a pod's
 * veth, `from_uplink` at that of the devices to other nodes, `to_pod` at the egress hook of the
 * veth, `choose_listener` in the node's network namespace.
 *
 * What is not ours gets TC_ACT_UNSPEC, so that later programs of the same hook run.
 */
#include "fragments.h"
#include "link.h"
#include "proxy.h"

#define EVERY_SIDE (FLOW_EGRESS | FLOW_INGRESS)

static __always_inline int drop(const struct packet *p, struct judgement *j, __u8 reason)
{
	j->reason = reason;
	report(p, j, EVENT_DROPPED);
	return TC_ACT_SHOT;
}

static __always_inline struct config *settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* Whether a destination is a frontend for packets from there: a pod (`FLOW_EGRESS`) or outside. */
static __always_inline int is_frontend(const struct address *address, __be16 port, __u8 protocol,
				       __u32 sides)
{
	struct frontend key = { .address = *address, .port = port, .protocol = protocol };
	__u32 *flags = bpf_map_lookup_elem(&frontends, &key);

	return flags && (sides & FLOW_EGRESS || *flags & FRONTEND_OUTSIDE);
}

/* Acts on a verdict; the flow is remembered if it may go on. */
static __always_inline int act(struct packet *p, int verdict, __u32 sides, __u32 revision,
			       struct judgement *j)
{
	if (verdict == VERDICT_DROP) {
		report(p, j, EVENT_DROPPED);
		return TC_ACT_SHOT;
	}
	/* Without ports the tuple names no flow. */
	if (p->readable && begins(p)) {
		remember(&p->tuple, sides, revision);
		/* The same ports may have gone to the proxy before. */
		if (is_syn(p))
			bpf_map_delete_elem(&proxied, &p->tuple);
		report(p, j, EVENT_FORWARDED);
	}
	return TC_ACT_UNSPEC;
}

/* A packet of which an end is a pod of this node or a frontend, at an ingress hook. */
static __always_inline int enter(struct __sk_buff *skb, struct packet *p,
				 const struct device *device, __u32 sides, struct judgement *j)
{
	struct config *settings_now = settings();
	struct tuple reversed;
	__u32 revision;
	int verdict;

	if (!settings_now)
		return TC_ACT_SHOT;
	revision = settings_now->revision;
	follow_fragment(p, skb->ifindex);
	if (p->readable && owned(skb, p, &p->tuple, settings_now))
		return deliver(skb, device);
	if (is_error_of(p, sides & FLOW_EGRESS)) {
		reverse(&p->inner, &reversed);
		if (owned(skb, p, &reversed, settings_now))
			return deliver(skb, device);
		if (answers_flow(p, revision, j))
			return TC_ACT_UNSPEC;
	}
	if (!p->readable && is_frontend(&p->tuple.destination, 0, 0, sides))
		return drop(p, j, REASON_UNREADABLE);
	if (p->readable && is_frontend(&p->tuple.destination, p->tuple.destination_port,
				       p->tuple.protocol, sides)) {
		/* Which policy holds is judged by the proxy, for the endpoint it picks. */
		struct endpoint *source = bpf_map_lookup_elem(&endpoints, &p->tuple.source);

		j->source_identity = identity_of(&p->tuple.source);
		j->direction = DIRECTION_EGRESS;
		j->endpoint = source ? source->id : 0;
		if (source && (sides & FLOW_EGRESS) && source->flags & EGRESS_CLOSED)
			return drop(p, j, REASON_CLOSED);
		return to_proxy(skb, p, device, j);
	}
	verdict = p->readable ? recall(p, sides, revision, j) : VERDICT_UNKNOWN;
	if (verdict == VERDICT_PASS)
		return TC_ACT_UNSPEC;
	if (verdict == VERDICT_UNKNOWN)
		verdict = judge(&p->tuple, sides, p->readable, j);
	if (verdict == VERDICT_PROXY)
		return to_proxy(skb, p, device, j);
	return act(p, verdict, sides, revision, j);
}

SEC("classifier")
int from_pod(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct device *device = bpf_map_lookup_elem(&devices, &ifindex);
	struct judgement j = { .direction = DIRECTION_EGRESS };
	struct packet p = {};
	struct endpoint *source;

	/* Written before the program is attached. */
	if (!device)
		return TC_ACT_SHOT;
	/* Otherwise the bridge takes this port for another pod's. */
	if (!is_pod_mac(skb, device, ETH_ALEN)) {
		read_packet(skb, device->flags, &p);
		return drop(&p, &j, REASON_SPOOFED);
	}
	if (skb->protocol == bpf_htons(ETH_P_ARP) && !skb->vlan_present)
		return arp_lies(skb, device, &p) ? drop(&p, &j, REASON_SPOOFED) : TC_ACT_UNSPEC;
	if (!read_packet(skb, device->flags, &p)) {
		/* Other link layer protocols and VLAN tags would go around the policy. */
		if (device->flags & (EGRESS_ENFORCED | EGRESS_CLOSED))
			return drop(&p, &j, REASON_UNREADABLE);
		return TC_ACT_UNSPEC;
	}
	source = bpf_map_lookup_elem(&endpoints, &p.tuple.source);
	if (lies(skb, &p))
		return drop(&p, &j, REASON_SPOOFED);
	if (source && source->ifindex == ifindex)
		return stays_on_link(&p, device) ? TC_ACT_UNSPEC :
						   enter(skb, &p, device, EVERY_SIDE, &j);
	if ((is_link_local(&p.tuple.source) || is_unspecified(&p.tuple.source)) &&
	    stays_on_link(&p, device))
		return TC_ACT_UNSPEC;
	return drop(&p, &j, REASON_SPOOFED);
}

SEC("classifier")
int from_uplink(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct device *device = bpf_map_lookup_elem(&devices, &ifindex);
	struct judgement j = { .direction = DIRECTION_INGRESS };
	struct packet p = {};

	if (!device || !read_packet(skb, device->flags, &p))
		return TC_ACT_UNSPEC;
	/* This node's pods are not out there. */
	if (bpf_map_lookup_elem(&endpoints, &p.tuple.source))
		return drop(&p, &j, REASON_SPOOFED);
	if (stays_on_link(&p, device))
		return TC_ACT_UNSPEC;
	/* The node's own traffic is none of ours. */
	if (!bpf_map_lookup_elem(&endpoints, &p.tuple.destination) &&
	    !is_frontend(&p.tuple.destination, 0, 0, FLOW_INGRESS))
		return TC_ACT_UNSPEC;
	return enter(skb, &p, device, FLOW_INGRESS, &j);
}

/* The node's own processes may reach its pods (health checks), and the pods may answer. */
static __always_inline int from_host(const struct packet *p)
{
	struct tuple reversed;

	reverse(&p->tuple, &reversed);
	if (p->readable && !(p->tcp_flags & TCP_RST) && !find_flow(&reversed))
		remember(&p->tuple, FLOW_HOST, 0);
	return TC_ACT_UNSPEC;
}

/* What another device or another program of the node sends to the pod. */
static __always_inline int admit(struct __sk_buff *skb, struct packet *p,
				 const struct endpoint *destination, __u32 revision,
				 struct judgement *j)
{
	struct endpoint *source = bpf_map_lookup_elem(&endpoints, &p->tuple.source);
	__u32 sides = FLOW_INGRESS;
	int verdict;

	follow_fragment(p, skb->ifindex);
	if (is_error_of(p, 0) && answers_flow(p, revision, j))
		return TC_ACT_UNSPEC;
	/* From the pod itself, by way of a Service perhaps: its address as the source tells nothing
	 * on another device. */
	if (source && source->id == destination->id && skb->ingress_ifindex == source->ifindex)
		sides = EVERY_SIDE;
	verdict = p->readable ? recall(p, sides, revision, j) : VERDICT_UNKNOWN;
	if (verdict == VERDICT_PASS)
		return TC_ACT_UNSPEC;
	if (verdict == VERDICT_UNKNOWN)
		verdict = judge(&p->tuple, sides, p->readable, j);
	/* It came by a way where the proxy could not be given it: closed. */
	if (verdict == VERDICT_PROXY)
		return drop(p, j, REASON_NO_PROXY);
	return act(p, verdict, sides, revision, j);
}

SEC("classifier")
int to_pod(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct device *device = bpf_map_lookup_elem(&devices, &ifindex);
	struct judgement j = { .direction = DIRECTION_INGRESS };
	struct config *settings_now = settings();
	struct packet p = {};
	struct endpoint *destination;
	int enforced, from_proxy;

	if (!device || !settings_now)
		return TC_ACT_SHOT;
	/* Marks do not survive the way out of another namespace, nor does this index. */
	from_proxy = !skb->ingress_ifindex && (skb->mark & MARK_MASK) == MARK_FROM_PROXY;
	/* Only a bridge floods what is for others. */
	if (from_proxy && !device->bridge)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_ARP) && !skb->vlan_present)
		return TC_ACT_UNSPEC;
	enforced = !from_proxy && device->flags & (INGRESS_ENFORCED | INGRESS_CLOSED);
	if (!read_packet(skb, device->flags, &p))
		return enforced ? drop(&p, &j, REASON_UNREADABLE) : TC_ACT_UNSPEC;
	destination = bpf_map_lookup_elem(&endpoints, &p.tuple.destination);
	/* A copy for a port that has nothing to do with it; no flow is denied. */
	if (destination && destination->ifindex != ifindex) {
		count(COUNTER_DROPPED);
		return TC_ACT_SHOT;
	}
	if (from_proxy)
		return TC_ACT_UNSPEC;
	if (!skb->ingress_ifindex)
		return p.neighbour ? TC_ACT_UNSPEC : from_host(&p);
	if (stays_on_link(&p, device))
		return TC_ACT_UNSPEC;
	/* Multicast, broadcast: no policy names them. */
	if (!destination)
		return enforced ? drop(&p, &j, REASON_DEFAULT_DENY) : TC_ACT_UNSPEC;
	return admit(skb, &p, destination, settings_now->revision, &j);
}

/*
 * The slot of the listener for what was steered to this node's stack, or -1. Which worker takes a
 * connection was settled when it was steered. Datagrams need no such memory, and the fragments of
 * one could not be given a socket before: only a frontend's are steered, and each flow's always to
 * the same worker. What is for a Gateway finds the Gateway's own socket.
 */
static __always_inline int slot_for(const struct tuple *tuple, int ipv6)
{
	struct frontend key = {
		.address = tuple->destination,
		.port = tuple->destination_port,
		.protocol = tuple->protocol,
	};
	__u32 *found;

	if (tuple->protocol == IPPROTO_TCP) {
		found = bpf_map_lookup_elem(&proxied, tuple);
		return found ? *found : -1;
	}
	if (tuple->protocol != IPPROTO_UDP)
		return -1;
	found = bpf_map_lookup_elem(&frontends, &key);
	if (!found || *found & FRONTEND_OUTSIDE)
		return -1;
	return slot_of(tuple, ipv6, settings());
}

/* The listener for what was steered to this node's stack; all else goes its way. */
SEC("sk_lookup")
int choose_listener(struct bpf_sk_lookup *ctx)
{
	struct tuple tuple = { .protocol = ctx->protocol };
	struct bpf_sock *listener;
	int ipv6 = ctx->family != 2 /* AF_INET */;
	__u32 slot;
	long error;
	int found;

	if (ipv6) {
		for (int i = 0; i < 4; i++) {
			tuple.source.word[i] = ctx->remote_ip6[i];
			tuple.destination.word[i] = ctx->local_ip6[i];
		}
	} else {
		map_ipv4(&tuple.source, ctx->remote_ip4);
		map_ipv4(&tuple.destination, ctx->local_ip4);
	}
	tuple.source_port = ctx->remote_port;
	tuple.destination_port = bpf_htons(ctx->local_port);
	found = slot_for(&tuple, ipv6);
	if (found < 0)
		return SK_PASS;
	slot = found;
	listener = bpf_map_lookup_elem(&listeners, &slot);
	if (!listener)
		return SK_DROP;
	error = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	return error ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "GPL";
