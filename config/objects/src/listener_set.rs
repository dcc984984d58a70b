//! The listeners of a ListenerSet in the words of a Gateway: the API defines both alike, the
//! bindings have a type for each.

use gateway_api::apis::standard::gateways::{
    GatewayListeners, GatewayListenersAllowedRoutes, GatewayListenersAllowedRoutesKinds,
    GatewayListenersAllowedRoutesNamespaces, GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector,
    GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions, GatewayListenersTls,
    GatewayListenersTlsCertificateRefs, GatewayListenersTlsMode as Mode,
};
use gateway_api::apis::standard::listenersets::{
    ListenerSetListeners, ListenerSetListenersAllowedRoutes, ListenerSetListenersAllowedRoutesNamespaces,
    ListenerSetListenersAllowedRoutesNamespacesFrom as SetFrom,
    ListenerSetListenersAllowedRoutesNamespacesSelector, ListenerSetListenersTls,
    ListenerSetListenersTlsMode as SetMode,
};

use crate::types::ListenerSet;

/// `spec.listeners`.
pub fn listeners(set: &ListenerSet) -> Vec<GatewayListeners> {
    set.spec.listeners.iter().map(listener).collect()
}

fn listener(from: &ListenerSetListeners) -> GatewayListeners {
    GatewayListeners {
        allowed_routes: from.allowed_routes.as_ref().map(allowed_routes),
        hostname: from.hostname.clone(),
        name: from.name.clone(),
        port: from.port,
        protocol: from.protocol.clone(),
        tls: from.tls.as_ref().map(tls),
    }
}

fn allowed_routes(from: &ListenerSetListenersAllowedRoutes) -> GatewayListenersAllowedRoutes {
    let kinds = from.kinds.as_ref().map(|kinds| {
        let kinds = kinds.iter();
        let kinds = kinds.map(|from| GatewayListenersAllowedRoutesKinds {
            group: from.group.clone(),
            kind: from.kind.clone(),
        });
        kinds.collect()
    });
    GatewayListenersAllowedRoutes { kinds, namespaces: from.namespaces.as_ref().map(namespaces) }
}

fn namespaces(from: &ListenerSetListenersAllowedRoutesNamespaces) -> GatewayListenersAllowedRoutesNamespaces {
    GatewayListenersAllowedRoutesNamespaces {
        from: from.from.as_ref().map(|from| match from {
            SetFrom::All => From::All,
            SetFrom::Selector => From::Selector,
            SetFrom::Same => From::Same,
        }),
        selector: from.selector.as_ref().map(selector),
    }
}

fn selector(
    from: &ListenerSetListenersAllowedRoutesNamespacesSelector,
) -> GatewayListenersAllowedRoutesNamespacesSelector {
    use GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions as Expression;
    let expressions = from.match_expressions.as_ref().map(|expressions| {
        let expressions = expressions.iter();
        let expressions = expressions.map(|from| Expression {
            key: from.key.clone(),
            operator: from.operator.clone(),
            values: from.values.clone(),
        });
        expressions.collect()
    });
    GatewayListenersAllowedRoutesNamespacesSelector {
        match_expressions: expressions,
        match_labels: from.match_labels.clone(),
    }
}

fn tls(from: &ListenerSetListenersTls) -> GatewayListenersTls {
    let references = from.certificate_refs.as_ref().map(|references| {
        let references = references.iter();
        let references = references.map(|from| GatewayListenersTlsCertificateRefs {
            group: from.group.clone(),
            kind: from.kind.clone(),
            name: from.name.clone(),
            namespace: from.namespace.clone(),
        });
        references.collect()
    });
    GatewayListenersTls {
        certificate_refs: references,
        mode: from.mode.as_ref().map(|mode| match mode {
            SetMode::Terminate => Mode::Terminate,
            SetMode::Passthrough => Mode::Passthrough,
        }),
        options: from.options.clone(),
    }
}
