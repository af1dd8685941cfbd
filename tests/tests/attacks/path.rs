//! Spellings of a path that one reader takes for another path: what the policy judged must be what the
//! server behind the gateway serves.

use e2e::{
    conversation::{Mismatch, expect},
    raw_http2::Frames,
};

use crate::{
    Attack,
    site::{Caller, Door, GUARDED, Sent, Site},
    spelling,
};

pub(crate) const ATTACKS: &[Attack<Site>] = &[
    Attack {
        row: 24,
        name: "a_path_is_served_as_it_was_judged",
        run: |site| Box::pin(spelled_by_hand(site)),
    },
    Attack {
        row: 24,
        name: "what_is_allowed_by_path_leads_nowhere_else",
        run: |site| Box::pin(out_of_what_is_allowed(site)),
    },
    Attack {
        row: 24,
        name: "no_spelling_reaches_a_denied_path",
        run: |site| Box::pin(spelled_by_chance(site)),
    },
];

/// What must come of a path on a host where all but a few paths are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It means what is denied, or it could.
    Refused,
    /// It is another path, and this one.
    Served(&'static str),
    /// The gateway that normalises makes this path of it before anybody has read it, or refuses it, as its
    /// reader of HTTP/1.1 does with some bytes; where the gateway leaves it, the filter refuses it.
    Normalised(&'static str),
}
use Outcome::{Normalised, Refused, Served};

/// By hand: one for each trick that is known, and those that look like one and are none.
const SPELLINGS: &[(&str, &[u8], Outcome)] = &[
    ("as it is", b"/admin/panel", Refused),
    ("the folder", b"/admin", Refused),
    ("a slash at the end", b"/admin/", Refused),
    ("another path", b"/public/x", Served("/public/x")),
    ("a query", b"/admin?x", Refused),
    (
        "a way up in the query",
        b"/public/x?/../admin/x",
        Served("/public/x"),
    ),
    ("two slashes", b"//admin/x", Refused),
    ("three slashes", b"/admin///x", Refused),
    ("two slashes within", b"/private//key", Refused),
    ("a dot segment", b"/./admin/x", Refused),
    ("a dot segment within", b"/private/./key", Refused),
    ("a dot segment at the end", b"/admin/.", Refused),
    ("a way up", b"/public/../admin/x", Refused),
    ("a way up to it from within", b"/private/x/../key", Refused),
    (
        "a way up out of it",
        b"/admin/../public/x",
        Served("/public/x"),
    ),
    ("a way above the root", b"/../admin/x", Refused),
    (
        "a long way above the root",
        b"/public/../../../admin/x",
        Refused,
    ),
    (
        "a way up from an empty segment",
        b"/public//../admin/x",
        Normalised("/public/admin/x"),
    ),
    ("encoded dots", b"/public/%2e%2e/admin/x", Refused),
    (
        "encoded dots in capitals",
        b"/public/%2E%2E/admin/x",
        Refused,
    ),
    ("a dot and an encoded one", b"/public/.%2e/admin", Refused),
    ("an encoded dot segment", b"/%2e/admin", Refused),
    ("an encoded letter", b"/%61dmin/x", Refused),
    ("every letter encoded", b"/%61%64%6d%69%6e", Refused),
    ("an encoded letter at the end", b"/private/ke%79", Refused),
    ("an encoded slash", b"/admin%2fx", Refused),
    ("an encoded slash in front", b"/%2fadmin/x", Refused),
    ("an encoded slash at the end", b"/private/key%2f", Refused),
    (
        "a way up by encoded slashes",
        b"/public%2f..%2fadmin%2fx",
        Refused,
    ),
    (
        "a way up by one encoded slash",
        b"/public/..%2Fadmin/x",
        Refused,
    ),
    ("a backslash", b"/admin\\x", Refused),
    ("a way up by backslashes", b"/public\\..\\admin\\x", Refused),
    ("a way up by a backslash", b"/public/..\\admin/x", Refused),
    ("an encoded backslash", b"/public/..%5cadmin/x", Refused),
    ("a parameter", b"/admin;x=y/z", Refused),
    ("a parameter at the end", b"/private/key;.css", Refused),
    (
        "a parameter behind a way up",
        b"/public/..;/admin/x",
        Refused,
    ),
    (
        "a parameter behind a dot",
        b"/public/.;/admin/x",
        Normalised("/public/admin/x"),
    ),
    ("an empty segment with a parameter", b"/;x/admin/x", Refused),
    (
        "an encoded semicolon",
        b"/public/x%3by",
        Served("/public/x;y"),
    ),
    ("NUL at the end", b"/admin%00", Refused),
    ("NUL within", b"/private/key%00.png", Refused),
    ("NUL in front", b"/%00/admin/x", Refused),
    ("a line break", b"/admin%0d%0ax", Refused),
    ("a tab", b"/%09/admin", Refused),
    ("a raw tab", b"/\tadmin", Refused),
    ("DEL", b"/admin%7f", Refused),
    ("dots encoded twice", b"/public/%252e%252e/admin/x", Refused),
    ("a slash encoded twice", b"/admin%252fx", Refused),
    ("a letter encoded twice", b"/%2561dmin/x", Refused),
    ("an encoded percent sign", b"/public/100%25", Refused),
    ("half an escape", b"/admin%2", Refused),
    ("a percent sign", b"/admin%", Refused),
    ("an escape that is none", b"/%zzadmin", Refused),
    (
        "escapes of another kind",
        b"/public/%u002e%u002e/admin",
        Refused,
    ),
    ("dots in two bytes", b"/public/%c0%ae%c0%ae/admin", Refused),
    (
        "dots in three bytes",
        b"/public/%e0%80%ae%e0%80%ae/admin",
        Refused,
    ),
    ("a slash in two bytes", b"/public/..%c0%afadmin", Refused),
    ("half a character", b"/admin%c3", Refused),
    ("half a pair of surrogates", b"/%ed%a0%80/admin", Refused),
    (
        "a character outside ASCII, raw",
        b"/\xc3\xa4/admin",
        Normalised("/\u{e4}/admin"),
    ),
    (
        "bytes that are no text",
        b"/\xff/admin",
        Normalised("/\u{fffd}/admin"),
    ),
    ("a fragment", b"/admin#x", Refused),
    (
        "a fragment before a way up",
        b"/public/x#/../../admin",
        Refused,
    ),
    ("an encoded fragment", b"/admin%23x", Served("/admin#x")),
    (
        "an encoded question mark",
        b"/admin%3fx",
        Served("/admin?x"),
    ),
    (
        "wide dots",
        b"/public/%ef%bc%8e%ef%bc%8e/admin",
        Served("/public/\u{ff0e}\u{ff0e}/admin"),
    ),
    (
        "a wide slash",
        b"/public%ef%bc%8fadmin",
        Served("/public\u{ff0f}admin"),
    ),
    (
        "three dots",
        b"/public/.../admin",
        Served("/public/.../admin"),
    ),
    // Letter case is a difference, for the filter as for nginx.
    ("in capitals", b"/ADMIN/x", Served("/ADMIN/x")),
    ("an encoded capital", b"/%41dmin", Served("/Admin")),
    ("a dot at the end", b"/admin.", Served("/admin.")),
    ("an encoded dot at the end", b"/admin%2e", Served("/admin.")),
    (
        "an encoded space at the end",
        b"/admin%20",
        Served("/admin "),
    ),
    (
        "a longer name",
        b"/administrators",
        Served("/administrators"),
    ),
    ("absolute", b"http://open.example.com/admin/x", Refused),
    (
        "absolute, with two slashes",
        b"http://open.example.com//admin/x",
        Refused,
    ),
    (
        "absolute, with a way up",
        b"http://open.example.com/public/../admin/x",
        Refused,
    ),
    ("no slash in front", b"admin/x", Refused),
    ("a network path", b"//open.example.com/../admin/x", Refused),
    ("an asterisk", b"*", Refused),
];

async fn spelled_by_hand(site: &Site) -> Result<(), Mismatch> {
    let mut sent = Vec::new();
    for (case, path, _) in SPELLINGS {
        sent.extend(everywhere(site, "open.example.com", case, path).await?);
    }
    let seen = site.all_is_allowed(&sent).await?;
    let wanted = SPELLINGS.iter().flat_map(|(_, path, outcome)| {
        // Every one goes to each guarded door in both versions of HTTP.
        std::iter::repeat_n((path, outcome), 2 * GUARDED.len())
    });
    let mut faults = Vec::new();
    for (sent, (path, outcome)) in sent.iter().zip(wanted) {
        let served = sent.served(&seen);
        let is_as_wanted = match outcome {
            Refused => served.is_none(),
            Served(path) => served == Some(*path),
            Normalised(path) => {
                served.is_none() || sent.door == Door::Istio && served == Some(*path)
            }
        };
        if !is_as_wanted {
            let (path, door, status) = (path.escape_ascii(), sent.door, sent.answer.status);
            faults.push(format!(
                "{} ({path}) at {door:?} is {served:?}, {status:?} for {outcome:?}",
                sent.case
            ));
        }
    }
    expect("what was served otherwise", faults, Vec::<String>::new())
}

/// Where paths are allowed and everything else is not, also into an alias that is written without its
/// slash: `/static../x` is out of the folder for nginx, and another path than `/static` for the policy.
async fn out_of_what_is_allowed(site: &Site) -> Result<(), Mismatch> {
    const PATHS: &[(&[u8], bool)] = &[
        (b"/public/x", true),
        (b"/static/x", true),
        (b"/files/x", true),
        (b"/files/x/", true),
        (b"/static../secret", false),
        (b"/static..%2fsecret", false),
        (b"/static%2e%2e/secret", false),
        (b"/static/../secret", false),
        (b"/static/%2e%2e/secret", false),
        (b"/static/x/../../secret", false),
        (b"/static/..;/secret", false),
        (b"/static.../secret", false),
        (b"/staticx", false),
        (b"/STATIC/x", false),
        (b"/Public/x", false),
        (b"/publicx", false),
        (b"/public../x", false),
        (b"/public;/x", false),
        (b"/files/", false),
        (b"/files/x/y", false),
        (b"/files/x%2fy", false),
        (b"/files/..", false),
        (b"/files/x/..", false),
        (b"/files//", false),
        (b"/files/..%5cx", false),
        (b"/", false),
    ];
    let mut sent = Vec::new();
    for (path, _) in PATHS {
        let case = path.escape_ascii().to_string();
        sent.extend(everywhere(site, "site.example.com", &case, path).await?);
    }
    let seen = site.all_is_allowed(&sent).await?;
    let wanted = PATHS
        .iter()
        .flat_map(|(_, passes)| std::iter::repeat_n(*passes, 2 * GUARDED.len()));
    for (sent, passes) in sent.iter().zip(wanted) {
        if sent.served(&seen).is_some() != passes {
            let served = format!("{:?}", sent.served(&seen));
            let expected = if passes { "served" } else { "refused" };
            return Err(Mismatch::differs(&sent.case, &served, expected));
        }
    }
    Ok(())
}

/// At each guarded door, in both versions of HTTP.
async fn everywhere(
    site: &Site,
    host: &str,
    case: &str,
    path: &[u8],
) -> Result<Vec<Sent>, Mismatch> {
    let mut sent = Vec::new();
    for door in GUARDED {
        let of = (door, Caller::Alice);
        let head = [b"GET ", path, b" HTTP/1.1\r\nhost: ", host.as_bytes()].concat();
        sent.push(site.say_alone(of, case, &head).await?);
        let frames = Frames::new("GET", host.as_bytes(), path);
        sent.push(site.send(of, case, frames).await?);
    }
    Ok(sent)
}

/// Some thousands, put together by chance from all the tricks. Straight to nginx, and past Envoy's own
/// rules, some of them reach what is denied: so they are worth trying.
async fn spelled_by_chance(site: &Site) -> Result<(), Mismatch> {
    let spellings = spelling::made_up();
    let mut sent = Vec::new();
    for door in [Door::Nginx, Door::Native, Door::Bare, Door::Istio] {
        let mut wire = site.wire(door);
        for path in &spellings {
            let case = format!("seed {}: {}", spelling::seed(), path.escape_ascii());
            let head = [
                b"GET ",
                path.as_slice(),
                b" HTTP/1.1\r\nhost: open.example.com",
            ]
            .concat();
            let of = (door, Caller::Alice);
            sent.push(site.say(&mut wire, of, &case, &head).await?);
        }
    }
    let seen = site.all_is_allowed(&sent).await?;
    let at = |door: Door| sent.iter().filter(move |sent| sent.door == door);
    let reached = |door| {
        at(door)
            .filter(|sent| sent.reached_what_is_denied(&seen))
            .count()
    };
    let served = |door| at(door).filter(|sent| sent.served(&seen).is_some()).count();
    let figures = format!(
        "of {} spellings, nginx alone takes {} for what is denied and serves {} in all; past Envoy's own \
         rules {} reach it, past the filter {} and {}; the filter lets {} and {} others pass",
        spellings.len(),
        reached(Door::Nginx),
        served(Door::Nginx),
        reached(Door::Native),
        reached(Door::Bare),
        reached(Door::Istio),
        served(Door::Bare),
        served(Door::Istio),
    );
    eprintln!("{figures}");
    let is_worth_it = reached(Door::Nginx) > spellings.len() / 20
        && reached(Door::Native) > 50
        && GUARDED.iter().all(|door| served(*door) > 50);
    if is_worth_it {
        return Ok(());
    }
    Err(Mismatch::differs(
        "the made-up spellings",
        &figures,
        "hostile ones and harmless ones",
    ))
}
