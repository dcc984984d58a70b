#!/usr/bin/env python3
"""Seeded generator of random policy documents for policy-oracle.

  gen.py --seed 1 --count 2000 > random.jsonl          write requests
  gen.py --seed 1 --fields l4-http > random.jsonl      only fields that Weir enforces so far
  gen.py --record random.jsonl answers.jsonl           join both, cut to what the test compares
  gen.py --report random.jsonl answers.jsonl           summarise the answers
  gen.py --explain random.jsonl --oracle ORACLE        why the engines disagree

The same seed and count always give the same documents. About one policy in
eight is "near-valid": one mutation away from being accepted, or accepted by
the agent although the API server's schema rejects it (or the reverse).
"""
import argparse
import collections
import json
import random
import subprocess
import sys

CLUSTERS = ["cluster-1", "cluster-2"]
NAMESPACES = ["default", "prod"]
CLUSTER_LABEL = "io.cilium.k8s.policy.cluster"
NS_LABEL = "io.kubernetes.pod.namespace"
NS_META = "io.cilium.k8s.namespace.labels.env"
SA_LABEL = "io.cilium.k8s.policy.serviceaccount"
VALUES = {"app": ["a", "b", "c"], "tier": ["x", "y"]}
ENTITIES = ["all", "world", "cluster", "cluster-mesh", "host", "remote-node",
            "kube-apiserver", "ingress", "init", "health", "unmanaged", "none"]
CIDRS = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32",
         "192.0.2.0/24", "::/0", "2001:db8::/32"]
EXCEPTS = {"0.0.0.0/0": ["10.0.0.0/8", "10.1.0.0/16"], "10.0.0.0/8": ["10.1.0.0/16", "10.0.0.0/8"],
           "10.1.0.0/16": ["10.1.2.0/24"], "10.1.2.0/24": ["10.1.2.3/32", "10.1.2.128/25"],
           "2001:db8::/32": ["2001:db8:1::/48"]}
OUTSIDE = ["10.1.2.3/32", "10.1.9.9/32", "10.9.9.9/32", "192.0.2.7/32", "203.0.113.5/32", "2001:db8:1::1/128"]
RESERVED = ["host", "remote-node", "kube-apiserver", "world-ipv4", "ingress", "health", "init", "unmanaged"]
NAMED = {"http": (80, "TCP"), "alt": (8080, "TCP"), "dns": (53, "UDP"), "dns-tcp": (53, "TCP")}
PORTS = ["53", "80", "81", "443", "8080"]
HTTP = [{}, {"path": "/a"}, {"path": "/b/.*", "method": "GET"}, {"method": "POST"}, {"host": "x\\.test"},
        {"headers": ["X-Key: v"]}, {"headerMatches": [{"name": "X-Log", "value": "1", "mismatch": "LOG"}]}]
DNS = [{"matchName": "a.x.com"}, {"matchPattern": "*.x.com"}, {"matchPattern": "**.x.com"},
       {"matchPattern": "*"}, {"matchPattern": "b*.x.com"}, {"matchName": "X.com."}]
NAMES = ["a.x.com", "b1.x.com", "c.d.x.com", "x.com", "other.org"]


class Gen:
    def __init__(self, seed, fields="all"):
        self.r = random.Random(seed)
        self.all = fields == "all"  # or without DNS, ICMP, authentication, host policies, cluster flags

    def chance(self, p):
        return self.r.random() < p

    def some(self, items, low=1, high=3):
        return self.r.sample(items, min(len(items), self.r.randint(low, high)))

    # ---- selectors -------------------------------------------------------
    def selector(self, clusterwide=False, subject=False):
        """A label selector; namespace, cluster and reserved labels now and then."""
        r, s, labels, exprs = self.r, {}, {}, []
        for key, values in VALUES.items():
            if self.chance(0.45):
                roll = r.random()
                if roll < 0.6:
                    labels[r.choice(["", "", "k8s:", "any:"]) + key] = r.choice(values)
                elif roll < 0.9:
                    op = r.choice(["In", "NotIn", "Exists", "DoesNotExist"])
                    e = {"key": key, "operator": op}
                    if op in ("In", "NotIn"):
                        e["values"] = self.some(values, 1, 2)
                    exprs.append(e)
        if self.chance(0.5 if clusterwide else 0.25) and not subject or self.chance(0.1):
            labels[r.choice(["", "k8s:"]) + NS_LABEL] = r.choice(NAMESPACES)
        elif not subject and self.chance(0.1):
            labels[r.choice(["", "k8s:"]) + NS_META] = r.choice(["dev", "prod"])
        if not subject and self.chance(0.15):
            if self.chance(0.5):
                labels[r.choice(["", "k8s:"]) + CLUSTER_LABEL] = r.choice(CLUSTERS)
            else:
                exprs.append({"key": r.choice(["", "k8s:"]) + CLUSTER_LABEL, "operator": "Exists"})
        if not subject and self.chance(0.05):
            labels = {"reserved:" + r.choice(["host", "init", "ingress", "world"]): ""}
        if labels:
            s["matchLabels"] = labels
        if exprs:
            s["matchExpressions"] = exprs
        return s

    def peers(self, d, clusterwide, ingress):
        """Adds the L3 part of a rule: absent, empty but present, or a list."""
        r, way = self.r, "from" if ingress else "to"
        roll = r.random()
        if roll < 0.18:
            return
        if roll < 0.26:
            d[way + r.choice(["Endpoints", "CIDR", "CIDRSet", "Entities"])] = []
        elif roll < 0.62:
            d[way + "Endpoints"] = [self.selector(clusterwide) for _ in range(r.randint(1, 2))]
        elif roll < 0.74:
            d[way + "Entities"] = self.some(ENTITIES, 1, 2)
        elif roll < 0.84:
            d[way + "CIDR"] = self.some(CIDRS, 1, 2)
        else:
            d[way + "CIDRSet"] = rules = []
            for cidr in self.some(CIDRS, 1, 2):
                rule = {"cidr": cidr}
                if cidr in EXCEPTS and self.chance(0.7):
                    rule["except"] = self.some(EXCEPTS[cidr], 1, 2)
                rules.append(rule)

    # ---- ports and L7 ----------------------------------------------------
    def port(self, protocols):
        r, p = self.r, {}
        roll = r.random()
        if roll < 0.7:
            p["port"] = r.choice(PORTS)
            if self.chance(0.2):
                p["endPort"] = int(p["port"]) + r.choice([0, 1, 10, 400])
        elif roll < 0.8:
            p["port"] = "0"
        else:
            p["port"] = r.choice(list(NAMED))
        proto = r.choice(protocols)
        if proto:
            p["protocol"] = proto
        return p

    def to_ports(self, d, ingress, denying):
        r, roll = self.r, self.r.random()
        if roll < 0.3:
            return
        if roll < 0.35:
            d["toPorts"] = r.choice([[], [{}], [{"ports": []}]])
            return
        if roll < 0.41 and self.all:
            d["icmps"] = [{"fields": [{"type": r.choice([0, 8, "EchoRequest"]), "family": r.choice(["IPv4", "IPv6"])}]}]
            return
        rules = []
        for _ in range(1 if self.chance(0.8) else 2):
            kind = r.random()
            if denying or kind < 0.35:
                rules.append({"ports": [self.port(["TCP", "TCP", "UDP", "ANY", None, "SCTP"])
                                        for _ in range(r.randint(1, 2))]})
            elif kind < 0.75 or ingress or not self.all:
                ports = [{"port": r.choice(["80", "80", "80", "8080", "http", "http", "53"]), "protocol": "TCP"}]
                if self.chance(0.1):
                    ports[0].update(port="80", endPort=90)
                rules.append({"ports": ports, "rules": {"http": self.some(HTTP, 0 if self.chance(0.1) else 1, 2)}})
            else:
                ports = [{"port": r.choice(["53", "53", "dns"]), "protocol": r.choice(["UDP", "ANY", "TCP"])}]
                rules.append({"ports": ports, "rules": {"dns": self.some(DNS, 1, 2)}})
        d["toPorts"] = rules

    # ---- rules and policies ----------------------------------------------
    def rule(self, clusterwide, ingress, denying):
        d = {}
        self.peers(d, clusterwide, ingress)
        self.to_ports(d, ingress, denying)
        if not denying and self.chance(0.04) and self.all:
            d["authentication"] = {"mode": self.r.choice(["required", "disabled"])}
        return d

    def spec(self, clusterwide):
        r, s = self.r, {}
        if clusterwide and self.chance(0.08) and self.all:
            s["nodeSelector"] = {}
        else:
            s["endpointSelector"] = {} if self.chance(0.35) else self.selector(clusterwide, subject=True)
        sections = [("ingress", True, False), ("egress", False, False),
                    ("ingressDeny", True, True), ("egressDeny", False, True)]
        for name, ingress, denying in sections:
            if self.chance(0.25 if denying else 0.55):
                n = 0 if self.chance(0.05) else r.randint(1, 2)
                s[name] = [self.rule(clusterwide, ingress, denying) for _ in range(n)]
        if not any(s.get(name) for name, _, _ in sections):
            s["ingress"] = [self.rule(clusterwide, True, False)]
        if self.chance(0.15):
            s["enableDefaultDeny"] = {k: self.chance(0.3) for k in self.some(["ingress", "egress"], 1, 2)}
        return s

    def policy(self, i):
        clusterwide = self.chance(0.25)
        p = {"apiVersion": "cilium.io/v2",
             "kind": "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy",
             "metadata": {"name": "p%d" % i}}
        if not clusterwide:
            p["metadata"]["namespace"] = self.r.choice(NAMESPACES)
        if self.chance(0.1):
            p["specs"] = [self.spec(clusterwide) for _ in range(2)]
        else:
            p["spec"] = self.spec(clusterwide)
        if self.chance(0.12):
            self.mutate(p)
        return p

    def mutate(self, p):
        """One step away from a valid policy."""
        r = self.r
        s = p.get("spec") or p["specs"][0]
        way = "from"
        rule = next(iter(s.get("ingress") or []), None)
        if rule is None:
            way, rule = "to", next(iter(s.get("egress") or []), None)
        if rule is None:
            s["ingress"] = [{}]
            way, rule = "from", s["ingress"][0]
        port = {"port": "80", "protocol": "TCP"}
        http = {"http": [{"path": "/a"}]}

        def ports(**kw):
            rule.pop("icmps", None)
            rule["toPorts"] = [dict({"ports": [dict(port)]}, **kw)]
            return rule["toPorts"][0]

        def setport(**kw):
            ports()["ports"][0].update(kw)

        mutations = [
            lambda: rule.update({way + "CIDR": ["10.0.0.0/8"], way + "Entities": ["world"]}),
            lambda: rule.update({way + "CIDR": ["10.0.0.0/8"], way + "CIDRSet": [{"cidr": "192.0.2.0/24"}]}),
            lambda: rule.update({way + "Entities": [r.choice(["World", "world-ipv4", "kubernetes", ""])]}),
            lambda: rule.update({way + "CIDR": [r.choice(["10.0.0.0/33", "10.0.0", "", "10.0.0.1/8", "::ffff:10.0.0.1/104", "192.0.2.7"])]}),
            lambda: rule.update({way + "CIDRSet": [{"cidr": "10.0.0.0/8", "except": [r.choice(["11.0.0.0/16", "10.0.0.0/7", "2001:db8::/64", "10.1.1.1"])]}]}),
            lambda: rule.update({way + "CIDRSet": [{"cidr": "10.0.0.1"}]}),
            lambda: setport(port=r.choice(["010", "0x50", "8_0", "65536", "-1", "+80", " 80", "HTTP", "a--b", "", "0080", "1e2"])),
            lambda: setport(endPort=r.choice([70, 65536, -1, 0])),
            lambda: setport(port="0", endPort=100),
            lambda: setport(port="http", endPort=9000),
            lambda: setport(protocol=r.choice(["tcp", "ICMP", "HTTP", "GRE", "icmpv6"])),
            lambda: ports(rules=http)["ports"][0].update(protocol=r.choice(["UDP", "ANY"])),
            lambda: ports(rules=http)["ports"][0].update(port="0"),
            lambda: ports(rules={"http": [{"path": "("}]}),
            lambda: ports(rules={"http": [{"host": "("}]}),
            lambda: ports(rules={"http": [], "dns": []}),
            lambda: ports(rules={"http": [{}], "dns": [{"matchPattern": "*"}]}),
            lambda: ports(rules={}),
            lambda: ports(rules=http, serverNames=["a.x.com"]),
            lambda: ports(ports=[{"port": str(1000 + i), "protocol": "TCP"} for i in range(r.choice([40, 41]))]),
            lambda: rule.update({"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": [port]}]}),
            lambda: s.update(nodeSelector={}),
            lambda: s.pop("endpointSelector", None),
            lambda: s.update(endpointSelector={"matchLabels": {"app": r.choice(["bad value", "-x", "", "a" * 64])}}),
            lambda: s.update(endpointSelector={"matchExpressions": [{"key": "app", "operator": r.choice(["In", "Equals", "Exists"]), "values": r.choice([[], ["a"]])}]}),
            lambda: [s.pop(k, None) for k in ("ingress", "egress", "ingressDeny", "egressDeny")],
            lambda: s.update(ingress=None),
            lambda: s.update(ingressDeny=[{"toPorts": [{"ports": [port], "rules": http}]}]),
            lambda: s.update(egressDeny=[{"toFQDNs": [{"matchName": "a.x.com"}]}]),
            lambda: p["metadata"].pop("name"),
            lambda: p.pop("spec", None) or p.pop("specs", None),
            lambda: rule.update({way + "Requires": [{"matchLabels": {"app": "a"}}]}),
            lambda: rule.update({"authentication": {"mode": "sometimes"}}),
        ]
        if self.all:
            mutations += [
                lambda: ports(rules={"dns": [{"matchPattern": r.choice(["*.x.com", "bad!", ""])}]}),
                lambda: ports(rules={"dns": [{"matchName": "a", "matchPattern": "*"}]}),
                lambda: ports(serverNames=[r.choice(["a.x.com", "", "*.x.com"])]),
            ]
        r.choice(mutations)()

    # ---- documents -------------------------------------------------------
    def pod(self):
        r = self.r
        ns = r.choice(NAMESPACES)
        labels = {"k8s:" + NS_LABEL: ns, "k8s:" + NS_META: "prod" if ns == "prod" else "dev",
                  "k8s:" + CLUSTER_LABEL: CLUSTERS[0] if self.chance(0.85) else CLUSTERS[1],
                  "k8s:" + SA_LABEL: "default"}
        for key, values in VALUES.items():
            if self.chance(0.85):
                labels["k8s:" + key] = r.choice(values)
        e = {"labels": labels}
        named = {n: {"port": p, "protocol": q} for n, (p, q) in NAMED.items() if self.chance(0.75)}
        if named:
            e["named_ports"] = named
        return e

    def document(self, i, seed):
        r = self.r
        endpoints = {"pod%d" % n: self.pod() for n in range(r.randint(2, 5))}
        for cidr in self.some(OUTSIDE, 1, 2):
            endpoints["net-" + cidr.split("/")[0]] = {"cidr": cidr}
        for name in self.some(RESERVED, 0, 2):
            endpoints[name] = {"reserved": name}
        doc = {"id": "rand-%d-%d" % (seed, i), "cluster": CLUSTERS[0],
               "default_local_cluster": not self.all or self.chance(0.7),
               "policies": [self.policy(n) for n in range(r.randint(1, 4))],
               "endpoints": endpoints, "flows": []}
        pods = [n for n in endpoints if n.startswith("pod")]
        for _ in range(r.randint(6, 12)):
            a, b = r.choice(pods), r.choice(list(endpoints))
            f = {"from": a, "to": b} if self.chance(0.5) else {"from": b, "to": a}
            roll = r.random()
            f["protocol"] = ("TCP" if roll < 0.65 else "UDP" if roll < 0.9 else "SCTP" if roll < 0.94
                             else "ICMP" if roll < 0.98 else "ICMPv6")
            f["port"] = 8 if "ICMP" in f["protocol"] else int(r.choice(PORTS + ["80", "80", "53", "53", "8080", "85", "10", "70"]))
            if f["port"] == 53 and self.all:
                f["dns"] = NAMES
            doc["flows"].append(f)
        return doc


def record(requests, answers):
    """Joins requests and answers, without what Weir's test does not compare."""
    for line, out in zip(open(requests), open(answers)):
        doc, ans = json.loads(line), json.loads(out)
        assert doc["id"] == ans["id"], "answers are out of order"
        local = doc.get("default_local_cluster", True)
        if doc.get("op", "sanitize") != "sanitize" or doc.get("options") or not local or ans.get("error"):
            continue
        keep = ("id", "comment", "cluster", "endpoints", "flows")
        rec = {k: doc[k] for k in keep if doc.get(k)}
        rec["policies"] = doc.get("policies", [doc.get("policy")])
        rec["agent"] = [e is None for e in ans.get("errors", [])]
        rec["schema"] = [e is None for e in ans.get("crd", [])]
        rec["verdicts"] = [{"egress": v["egress"], "ingress": v["ingress"],
                            "l7": {k: x and {"parser": x["parser"], "any": x["any"], "http": x.get("http", [])}
                                   for k, x in v["l7"].items()}} for v in ans.get("verdicts", [])]
        print(json.dumps(rec, separators=(",", ":")))


def report(requests, answers):
    """Counts verdicts, policy errors and disagreements between the engines."""
    count = collections.Counter()
    examples = {}
    for line, out in zip(open(requests), open(answers)):
        doc, ans = json.loads(line), json.loads(out)
        assert doc["id"] == ans["id"], "answers are out of order"
        count["documents"] += 1
        if ans.get("error"):
            count["failed documents"] += 1
            examples.setdefault("failed documents: " + ans["error"], doc["id"])
        for err, crd in zip(ans.get("errors", []), ans.get("crd", [])):
            count["policies"] += 1
            count["policies: agent %s, schema %s" % ("rejects" if err else "accepts", "rejects" if crd else "accepts")] += 1
        for flow, v in zip(doc.get("flows", []), ans.get("verdicts", [])):
            count["flows"] += 1
            for side in ("egress", "ingress"):
                count["verdict " + v[side]] += 1
                for engine in ("iterate", "lookup"):
                    other = v[engine]
                    if other is None:
                        reason = v["errors"].get(engine, "?")
                        if side == "egress":
                            count["%s gave no answer: %s" % (engine, reason)] += 1
                    elif v[side] != "error" and other[side] != v[side].replace("redirect", "allow"):
                        why = "%s %s: engine %s%s, %s %s" % (side, flow["protocol"], v[side], " by " + by(v, side) if by(v, side) else "", engine, other[side])
                        count["disagree " + why] += 1
                        examples.setdefault(why, doc["id"])
    for key, n in sorted(count.items()):
        print("%8d  %s" % (n, key))
    for why, doc in sorted(examples.items()):
        print("first: %s: %s" % (doc, why))


def specs(doc):
    for p in doc["policies"]:
        for s in [p.get("spec")] + (p.get("specs") or []):
            if s:
                yield p, s


def no_empty_rules(doc):
    for _, s in specs(doc):
        for section in ("ingress", "egress", "ingressDeny", "egressDeny"):
            way = "from" if section.startswith("ingress") else "to"
            for rule in s.get(section) or []:
                peers = [way + k for k in ("Endpoints", "CIDR", "CIDRSet", "Entities")]
                if all(rule.get(k) is None for k in peers) and not rule.get("toPorts") and not rule.get("icmps"):
                    rule[way + "Entities"] = []


def no_node_selectors(doc):
    for p, s in specs(doc):
        if "Clusterwide" in p["kind"] and "nodeSelector" in s and "endpointSelector" not in s:
            del s["nodeSelector"]
            s["endpointSelector"] = {"matchLabels": {"app": "nobody"}}


def no_init(doc):
    doc["flows"] = [f for f in doc["flows"] if "init" not in (f["from"], f["to"])]


def no_localhost(doc):
    doc["options"] = {"allow_localhost": "policy"}


def no_icmp(doc):
    doc["flows"] = [f for f in doc["flows"] if "ICMP" not in f["protocol"]]


def same_named_ports(doc):
    for e in doc["endpoints"].values():
        if "labels" in e:
            e["named_ports"] = {n: {"port": p, "protocol": q} for n, (p, q) in NAMED.items()}


def no_odd_ports(doc):
    """Ports that the two engines read differently: octal, port 0 or a name with a range."""
    for _, s in specs(doc):
        for section in ("ingress", "egress", "ingressDeny", "egressDeny"):
            for rule in s.get(section) or []:
                for ports in rule.get("toPorts") or []:
                    for p in ports.get("ports") or []:
                        name = p.get("port", "")
                        if name == "0" or not name.isdigit():
                            p.pop("endPort", None)
                        if name.startswith("0") and len(name) > 1 or "_" in name:
                            p["port"] = "80"


CAUSES = [("rules with neither peers nor ports", no_empty_rules), ("nodeSelector policies", no_node_selectors),
          ("the init identity", no_init), ("the host as a source", no_localhost), ("ICMP against ANY", no_icmp),
          ("named ports that differ within an identity", same_named_ports), ("odd ports", no_odd_ports)]


def explain(requests, oracle):
    """Takes the known causes of disagreement away one after the other and counts what is left."""
    docs = [json.loads(line) for line in open(requests)]
    for what, remove in [("as generated", None)] + CAUSES:
        for doc in docs:
            if remove:
                remove(doc)
        lines = "".join(json.dumps(dict(d, no_schema=True)) + "\n" for d in docs)
        out = subprocess.run([oracle], input=lines, capture_output=True, text=True, check=True).stdout
        flows = silent = left = 0
        for line in out.splitlines():
            for v in json.loads(line).get("verdicts", []):
                flows += 1
                silent += v["iterate"] is None
                left += not v["agree"]
        print("%6d flows, %5d disagree, %4d without an answer from IteratePolicy   %s%s"
              % (flows, left, silent, "without " if remove else "", what))


def by(v, side):
    names = v["by"][side] or []
    return "+".join(n for n in names if n.startswith("reserved:"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--fields", choices=["all", "l4-http"], default="all")
    p.add_argument("--report", nargs=2, metavar=("REQUESTS", "ANSWERS"))
    p.add_argument("--record", nargs=2, metavar=("REQUESTS", "ANSWERS"))
    p.add_argument("--explain", metavar="REQUESTS")
    p.add_argument("--oracle", default="./policy-oracle")
    args = p.parse_args()
    if args.record:
        return record(*args.record)
    if args.report:
        return report(*args.report)
    if args.explain:
        return explain(args.explain, args.oracle)
    gen = Gen(args.seed, args.fields)
    for i in range(args.count):
        json.dump(gen.document(i, args.seed), sys.stdout, separators=(",", ":"))
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
