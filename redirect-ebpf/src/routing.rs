//! The rule and the route that bring packets marked for the proxy to this node's own stack:
//! `ip rule fwmark 0x200/0xf00 lookup 2004` and `ip route add local default dev lo table 2004`,
//! for IPv4 and IPv6.

use std::io;
use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::abi;
use crate::error::Error;
use crate::netlink::Netlink;

const TABLE: u32 = 2004;
/// After the `local` table (0), before anything that a network plugin is known to install.
const PRIORITY: u32 = 9;
/// The loopback device has this index in every network namespace.
const LOOPBACK: u32 = 1;

/// Installs rules and routes; those that are there stay.
pub(crate) fn install() -> Result<(), Error> {
    let netlink = open()?;
    for family in families() {
        let route = RouteNetlinkMessage::NewRoute(route(family));
        netlink.change(route, NLM_F_CREATE | NLM_F_REPLACE).map_err(error("add", "route", family))?;
        let rule = RouteNetlinkMessage::NewRule(rule(family));
        match netlink.change(rule, NLM_F_CREATE | NLM_F_EXCL) {
            Err(why) if why.raw_os_error() != Some(libc::EEXIST) => {
                return Err(error("add", "rule", family)(why));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes rules and routes; returns whether there were any.
pub(crate) fn remove() -> Result<bool, Error> {
    let netlink = open()?;
    let mut removed = false;
    for family in families() {
        let rule = RouteNetlinkMessage::DelRule(rule(family));
        removed |= gone(netlink.change(rule, 0)).map_err(error("remove", "rule", family))?;
        let route = RouteNetlinkMessage::DelRoute(route(family));
        removed |= gone(netlink.change(route, 0)).map_err(error("remove", "route", family))?;
    }
    Ok(removed)
}

/// Whether something was removed; that there was nothing is no failure.
fn gone(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Ok(false),
            _ => Err(error),
        },
    }
}

fn open() -> Result<Netlink, Error> {
    Netlink::new().map_err(|cause| Error::Netlink { action: "open a socket".to_owned(), cause })
}

/// IPv6 may be compiled out or disabled at boot.
fn families() -> impl Iterator<Item = AddressFamily> {
    let ipv6 = Path::new("/proc/net/if_inet6").exists();
    [AddressFamily::Inet].into_iter().chain(ipv6.then_some(AddressFamily::Inet6))
}

fn error(verb: &'static str, what: &'static str, family: AddressFamily) -> impl FnOnce(io::Error) -> Error {
    let version = if family == AddressFamily::Inet { "IPv4" } else { "IPv6" };
    move |cause| Error::Netlink { action: format!("{verb} the {version} {what} of table {TABLE}"), cause }
}

fn rule(family: AddressFamily) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::FwMark(abi::MARK_TO_PROXY),
        RuleAttribute::FwMask(abi::MARK_MASK),
        RuleAttribute::Table(TABLE),
    ];
    rule
}

fn route(family: AddressFamily) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family;
    route.header.table = RouteHeader::RT_TABLE_UNSPEC;
    route.header.protocol = RouteProtocol::Static;
    route.header.kind = RouteType::Local;
    if family == AddressFamily::Inet {
        route.header.scope = RouteScope::Host;
    }
    route.attributes = vec![RouteAttribute::Oif(LOOPBACK), RouteAttribute::Table(TABLE)];
    route
}
