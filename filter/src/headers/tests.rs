use alloc::vec;

use proptest::prelude::*;

use super::*;

fn names(headers: &Headers) -> Vec<&str> {
    headers.iter().map(|(name, _)| name).collect()
}

fn headers(names: &[&str]) -> Headers {
    Headers::new(
        names
            .iter()
            .map(|name| (String::from(*name), vec![0xff]))
            .collect(),
    )
}

#[test]
fn every_spelling_of_an_identity_header_is_stripped() {
    let identity = IdentityHeaders::new("x-identity-").unwrap();
    let mut headers = headers(&[
        ":path",
        "x-identity-subject",
        "X-Identity-Roles",
        "x_identity_roles",
        "x-identity_new-one",
        "X-IDENTITY-",
        "x-connection-id",
        "X_Connection_Id",
        "x-identity",
        "x-identityx",
        "my-x-identity-a",
        "x-identity-subject",
        "accept",
    ]);
    assert!(identity.strip(&mut headers));
    assert!(
        !identity.strip(&mut headers),
        "nothing is left to be stripped"
    );
    assert_eq!(
        names(&headers),
        [
            ":path",
            "x-identity",
            "x-identityx",
            "my-x-identity-a",
            "accept"
        ]
    );
}

#[test]
fn credentials_are_removed_by_name() {
    let identity = IdentityHeaders::new("x-identity-").unwrap();
    let header = |name: &str| TokenSource::Header {
        name: name.into(),
        scheme: None,
    };
    let cookie = TokenSource::Cookie { name: "s".into() };
    let identity = identity.removing(vec![header("authorization"), header("x-token"), cookie]);
    let mut headers = headers(&["authorization", "x-token", "Authorization", "x-tokens"]);
    for value in ["a=1; s=2", "s=3", "", "b=4;  c=5"] {
        headers.push(b"Cookie", value.as_bytes(), State::AsItCame);
    }
    identity.remove_credentials(&mut headers);
    assert_eq!(names(&headers), ["x-tokens", "Cookie", "Cookie", "Cookie"]);
    let cookies: Vec<_> = headers.all("cookie").collect();
    assert_eq!(cookies, [&b"a=1"[..], b"", b"b=4;  c=5"]);
}

#[test]
fn set_leaves_exactly_one_value_in_place() {
    let mut headers = headers(&[":path", "a", "b", "A"]);
    headers.set("a", "1");
    headers.set("c", "2");
    assert_eq!(names(&headers), [":path", "a", "b", "c"]);
    assert_eq!(headers.only("a"), Some(&b"1"[..]));
}

/// The map as the host would have it after the changes.
fn changed(before: &Headers, after: &Headers) -> Vec<(String, Vec<u8>)> {
    let entries = |headers: &Headers| -> Vec<(String, Vec<u8>)> {
        let entry = |(name, value): (&str, &[u8])| (name.into(), value.into());
        headers.iter().map(entry).collect()
    };
    let Some(changes) = after.changes() else {
        return entries(after);
    };
    let mut map = entries(before);
    for change in changes {
        match change {
            Change::Removed(name) => map.retain(|(other, _)| other != name),
            Change::Added(name, value) => map.push((name.into(), value.into())),
            Change::Replaced(name, value) => {
                let mut same = map.iter_mut().filter(|(other, _)| other == name);
                same.next().unwrap().1 = value.into();
                assert_eq!(same.next(), None, "{name}");
            }
        }
    }
    map
}

proptest! {
    #[test]
    fn the_changes_make_one_map_of_the_other(
        names in proptest::collection::vec("(:path|cookie|x-identity-a|x-token|b)", 0..6),
        steps in proptest::collection::vec(0..5, 0..6),
    ) {
        let cookie = TokenSource::Cookie { name: "s".into() };
        let token = TokenSource::Header { name: "x-token".into(), scheme: None };
        let identity = IdentityHeaders::new("x-identity-").unwrap().removing(vec![cookie, token]);
        let before = Headers::new(names.into_iter().map(|name| (name, b"s=1; t=2".to_vec())).collect());
        let mut after = before.clone();
        for step in steps {
            match step {
                0 => drop(identity.strip(&mut after)),
                1 => identity.remove_credentials(&mut after),
                2 => after.set(":path", "/"),
                3 if after.only("x-identity-b").is_none() => after.add("x-identity-b", b"1"),
                _ => after.set("b", "2"),
            }
        }
        let want: Vec<_> = after.iter().map(|(name, value)| (name.into(), value.into())).collect();
        prop_assert_eq!(changed(&before, &after), want);
    }

    #[test]
    fn the_hosts_form_of_a_map_is_read(entries: Vec<(String, Vec<u8>)>) {
        let map = hosts_form(&entries);
        let read = Headers::read(map.clone()).unwrap();
        let want = Headers::new(entries);
        prop_assert!(read.iter().eq(want.iter()));
        prop_assert_eq!(read.changes().unwrap().count(), 0);
        for end in 1..map.len() {
            prop_assert!(Headers::read(map[..end].to_vec()).is_none(), "{}", end);
        }
    }

    #[test]
    fn no_map_makes_the_reader_panic(map: Vec<u8>, count in 0..4_u8) {
        let _read = Headers::read(map.clone());
        let _read = Headers::read([&[count, 0, 0, 0][..], &map].concat());
    }
}

fn hosts_form(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut map = number(entries.len()).to_vec();
    for (name, value) in entries {
        map.extend(number(name.len()).into_iter().chain(number(value.len())));
    }
    for (name, value) in entries {
        map.extend([name.as_bytes(), b"\0", value, b"\0"].concat());
    }
    map
}

#[test]
fn a_map_that_says_too_much_is_refused() {
    let whole = hosts_form(&[("a".into(), b"b".to_vec())]);
    assert!(Headers::read(whole.clone()).is_some());
    assert!(Headers::read([&whole[..], b"x"].concat()).is_none());
    for (place, byte) in [
        (0, 2),
        (0, 0xff),
        (4, 0xff),
        (8, 0xff),
        (12, 0xff),
        (13, b'x'),
    ] {
        let mut broken = whole.clone();
        broken[place] = byte;
        assert!(Headers::read(broken).is_none(), "{place}");
    }
    assert!(Headers::read(vec![0xff; 64]).is_none());
}

#[test]
fn a_repeated_header_has_no_only_value() {
    let headers = headers(&["a", "b", "A"]);
    assert_eq!((headers.only("a"), headers.only("c")), (None, None));
    assert!(headers.only("b").is_some());
}

#[test]
fn prefixes_that_would_strip_other_headers_are_refused() {
    for prefix in [
        "",
        "x-",
        "x-a",
        "identity-",
        "x-Identity-",
        "x_identity_",
        "x-identity",
        "x-envoy-",
        "x-e--",
        "x-envoy-original-",
        "x-forwarded-",
        "x-request-",
        "x-connection-",
        "x-b3-",
    ] {
        assert!(IdentityHeaders::new(prefix).is_none(), "{prefix}");
    }
    assert!(IdentityHeaders::new("x-acme-").is_some());
}

proptest! {
    #[test]
    fn an_escaped_text_is_one_visible_value(one: String, two: String) {
        prop_assert!(escaped(&one).bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
        prop_assert_eq!(escaped(&one) == escaped(&two), one == two);
    }
}
