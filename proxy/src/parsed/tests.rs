//! Heads as policies and routes see them.

use model::request::HeaderView;

use super::{FEW, Headers, Request, Room, head};

fn read(text: &str) -> Result<(String, Option<String>, String), u16> {
    let mut room: Room<'_> = codec::http1::uninit_headers();
    let head = head(text.as_bytes(), &mut room, &codec::http1::Limits::default()).map_err(|r| r.status)?;
    let request = Request::read(head).map_err(|refusal| refusal.status)?;
    let view = request.view();
    Ok((view.path.to_owned(), view.query.map(str::to_owned), view.authority.to_owned()))
}

#[test]
fn the_path_is_normalised_before_anybody_sees_it() {
    let cases = [
        ("GET /a/../b?x HTTP/1.1\r\nHost: h\r\n\r\n", Ok(("/b", Some("x"), "h"))),
        ("GET http://h:1//a HTTP/1.1\r\nHost: h:1\r\n\r\n", Ok(("/a", None, "h:1"))),
        ("GET /a%2fb HTTP/1.1\r\nHost: h\r\n\r\n", Err(307)),
        ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", Err(400)),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", Ok(("/", None, "h:1"))),
        ("GET / HTTP/1.1\r\nHost: h\r\n", Err(400)),
    ];
    for (text, expected) in cases {
        let expected = expected.map(|(path, query, authority): (&str, Option<&str>, &str)| {
            (path.to_owned(), query.map(str::to_owned), authority.to_owned())
        });
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn any_number_of_headers_is_kept_in_order() {
    let names: Vec<String> = (0..FEW * 3).map(|n| format!("x-{n}")).collect();
    for count in [0, 1, FEW - 1, FEW, FEW + 1, FEW * 3] {
        let views = names[..count].iter().map(|name| HeaderView { name, value: b"v" });
        let headers = Headers::of(views);
        let seen: Vec<&str> = headers.as_slice().iter().map(|view| view.name).collect();
        assert_eq!(seen, names[..count], "{count}");
    }
}
