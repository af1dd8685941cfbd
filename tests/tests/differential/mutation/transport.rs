//! Changes of how the token is sent.

use super::{Mutation, bad, good};
use crate::draft::{authorization, bearer};

pub(crate) const ALL: &[Mutation] = &[
    bad("not sent", |draft| draft.fields = |_token| Vec::new()),
    good("scheme in lower case", |draft| {
        draft.fields = |token| authorization(format!("bearer {token}"));
    }),
    good("scheme in upper case", |draft| {
        draft.fields = |token| authorization(format!("BEARER {token}"));
    }),
    bad("no scheme", |draft| {
        draft.fields = |token| authorization(token.to_owned())
    }),
    bad("scheme alone", |draft| {
        draft.fields = |_token| authorization("Bearer".to_owned());
    }),
    bad("other scheme", |draft| {
        draft.fields = |token| authorization(format!("DPoP {token}"));
    }),
    bad("longer scheme", |draft| {
        draft.fields = |token| authorization(format!("XBearer {token}"));
    }),
    bad("no space", |draft| {
        draft.fields = |token| authorization(format!("Bearer{token}"));
    }),
    bad("two spaces", |draft| {
        draft.fields = |token| authorization(format!("Bearer  {token}"));
    }),
    bad("tab", |draft| {
        draft.fields = |token| authorization(format!("Bearer\t{token}"));
    }),
    bad("another scheme in front", |draft| {
        draft.fields = |token| authorization(format!("Basic YTpi Bearer {token}"));
    }),
    bad("scheme twice", |draft| {
        draft.fields = |token| authorization(format!("Bearer Bearer {token}"));
    }),
    bad("list with another token behind", |draft| {
        draft.fields = |token| authorization(format!("Bearer {token}, Bearer a.b.c"));
    }),
    bad("list with another token in front", |draft| {
        draft.fields = |token| authorization(format!("Bearer a.b.c, Bearer {token}"));
    }),
    bad("comma behind", |draft| {
        draft.fields = |token| authorization(format!("Bearer {token},"));
    }),
    bad("parameter behind", |draft| {
        draft.fields = |token| authorization(format!("Bearer {token};a=b"));
    }),
    bad("word behind", |draft| {
        draft.fields = |token| authorization(format!("Bearer {token} x"));
    }),
    bad("quoted", |draft| {
        draft.fields = |token| authorization(format!("Bearer \"{token}\""));
    }),
    bad("as a parameter", |draft| {
        draft.fields = |token| authorization(format!("Bearer token={token}"));
    }),
    bad("bytes that are no text behind", |draft| {
        draft.fields = |token| {
            vec![(
                "authorization",
                [format!("Bearer {token}").as_bytes(), b"\xff"].concat(),
            )]
        };
    }),
    bad("two fields, the same token", |draft| {
        draft.fields = |token| [bearer(token), bearer(token)].concat();
    }),
    bad("two fields, another scheme first", |draft| {
        draft.fields = |token| [authorization("Basic YTpi".to_owned()), bearer(token)].concat();
    }),
    bad("two fields, another scheme last", |draft| {
        draft.fields = |token| [bearer(token), authorization("Basic YTpi".to_owned())].concat();
    }),
    bad("two fields, another token last", |draft| {
        draft.fields = |token| [bearer(token), bearer("a.b.c")].concat();
    }),
    bad("two fields, another token first", |draft| {
        draft.fields = |token| [bearer("a.b.c"), bearer(token)].concat();
    }),
    // The gateway joins fields of one name, and of an empty one nothing is left.
    good("two fields, an empty one first", |draft| {
        draft.fields = |token| [authorization(String::new()), bearer(token)].concat();
    }),
    bad("in the query", |draft| {
        draft.fields = |_token| Vec::new();
        draft.path = |token| {
            let is_plain =
                |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
            let token: String = token.chars().filter(is_plain).take(8 * 1024).collect();
            format!("/orders/1?access_token={token}")
        };
    }),
    bad("in a cookie", |draft| {
        draft.fields = |token| vec![("cookie", format!("access_token={token}").into_bytes())];
    }),
    bad("in another header", |draft| {
        draft.fields = |token| {
            vec![(
                "x-forwarded-authorization",
                format!("Bearer {token}").into_bytes(),
            )]
        };
    }),
    good("with a query", |draft| {
        draft.path = |_token| "/orders/1?access_token=a.b.c".to_owned();
    }),
    good("with a cookie of its own", |draft| {
        draft.fields = |token| [bearer(token), vec![("cookie", b"a=b".to_vec())]].concat();
    }),
    good("with headers that only a gateway sets", |draft| {
        draft.fields = |token| {
            let forged = |name| (name, b"root".to_vec());
            let forged = vec![
                forged("x-identity-subject"),
                forged("x-native-subject"),
                forged("x-native-issuer"),
            ];
            [forged, bearer(token)].concat()
        };
    }),
];
