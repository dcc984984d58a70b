//! CONNECT, and upgrades to what is not WebSocket.

use tests::client::{Client, curl};

use super::*;

/// A tunnel is for who has a route that names it.
#[test]
fn connect_makes_a_tunnel_where_a_route_names_it() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let weir = Weir::start(&place.world.lab);
    let proxy = format!("http://{NODE_V4}:8080");
    let through = ["--proxytunnel", "--proxy", &proxy, "http://inside.test/plain"];
    let get = || curl(&place.world.frontend, &through);
    assert_eq!(get().0, 0, "no route names it");
    let seen = |path: &str| objects(&place.server).iter().filter(|line| line["plain"] == path).count();
    assert_eq!(seen("/plain"), 0);
    let before = weir.revision();
    place.world.lab.write("connect.yaml", CONNECT);
    weir.wait_revision(before);
    assert_eq!(get(), (200, "ws\n".to_owned()));
    until("the server to have said so", || (seen("/plain") > 0).then_some(()));
    assert_eq!(seen("/plain"), 1);
    let connects = objects(&place.server).into_iter().filter(|line| line["connect"] == "inside.test:80");
    assert_eq!(connects.count(), 1, "the endpoint is asked for it");
    // Whatever is said inside is between its ends.
    let mut client = Client::connect(&place.world.frontend, (NODE_V4, 8080).into()).unwrap();
    client.send("CONNECT inside.test:80 HTTP/1.1\r\nHost: inside.test:80\r\n\r\n").unwrap();
    assert_eq!(client.read(12).unwrap(), b"HTTP/1.1 200");
    client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("both requests", || (seen("/first") + seen("/second") == 2).then_some(()));
}

/// `h2c` and others are not upgraded to; the request is served without.
#[test]
fn other_upgrades_are_left_out() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let _weir = Weir::start(&place.world.lab);
    let (status, body) = curl(&place.world.frontend, &["--http2", &format!("http://{NODE_V4}:8080/plain")]);
    assert_eq!((status, body.as_str()), (200, "ws\n"));
    let mut client = Client::connect(&place.world.frontend, (NODE_V4, 8080).into()).unwrap();
    for token in ["h2c", "tcp", "websockets", "TLS/1.0", "h2c, websocket"] {
        let answer = client.request("GET", "/plain", &["Connection: Upgrade", &format!("Upgrade: {token}")]);
        assert_eq!(answer.unwrap().status, 200, "{token}");
    }
    assert_eq!(place.paths(), Vec::<Value>::new(), "no upgrade reached the server");
}

const CONNECT: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: tunnel, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{method: CONNECT}]
    backendRefs: [{name: ws, port: 80}]
"#;

/// To an endpoint of HTTP/2 it goes as RFC 8441 has it, whatever the client speaks.
#[test]
fn an_endpoint_of_http2_is_asked_by_extended_connect() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let (api, stranger) = (&place.world.api, &place.world.stranger);
    let server = Peer::node(&api.ns, "ws_h2_server.mjs", &[&api.v4.to_string(), "82"]);
    let without = Peer::node(&stranger.ns, "ws_h2_server.mjs", &[&stranger.v4.to_string(), "82", "no"]);
    let h2c = |name: &str, ip: &str, host: &Host| {
        crate::fleet::h2c(&service(name, &[ip], 80, &[(host.v4.into(), 82)]))
    };
    let services = [h2c("h2", "10.96.0.2", api), h2c("without", "10.96.0.3", stranger), H2.into()];
    place.world.lab.write("h2.yaml", &documents(&services));
    let _weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        let command = json!({"open": by, "by": by, "url": url("/h2/echo"), "protocol": "chat.v1"});
        let said = client.ask(command);
        assert_eq!((&said["opened"], &said["protocol"]), (&json!(true), &json!("chat.v1")), "{by}: {said}");
        exchange(&client, by, by);
        let ended = client.ask(json!({"close": by, "code": 4002, "reason": "that is all"}));
        assert_eq!((&ended["code"], &ended["reason"]), (&json!(4002), &json!("that is all")), "{by}");
        // One that does not offer it is not asked.
        let said = client.ask(json!({"open": "without", "by": by, "url": url("/without/echo")}));
        assert_eq!(said["opened"], Value::Null, "{by}: {said}");
        assert!(by == "built-in" || said["status"] == 502, "{by}: {said}");
    }
    let asked = || -> Vec<Value> {
        objects(&server).into_iter().filter(|line| line["headers"].is_object()).collect()
    };
    let count = clients(&client).len();
    let asked = until("the server to have said so", || Some(asked()).filter(|asked| asked.len() >= count));
    assert_eq!(asked.len(), count);
    for line in asked {
        let headers = &line["headers"];
        assert_eq!((&headers[":method"], &headers[":protocol"]), (&json!("CONNECT"), &json!("websocket")));
        assert_eq!((&headers[":path"], &headers[":scheme"]), (&json!("/h2/echo"), &json!("http")));
        assert_eq!(headers[":authority"], format!("{NODE_V4}:8080"));
        // Those are of HTTP/1.1 alone.
        for name in ["upgrade", "connection", "sec-websocket-key"] {
            assert_eq!(headers[name], Value::Null, "{line}");
        }
    }
    assert!(objects(&without).is_empty(), "{}", without.text());
}

const H2: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h2, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /h2}}]
    backendRefs: [{name: h2, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /without}}]
    backendRefs: [{name: without, port: 80}]
"#;
