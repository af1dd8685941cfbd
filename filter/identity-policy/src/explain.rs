//! `explain`: one decision, and why.

use std::io::{self, Read as _, Write};
use std::path::Path;

use identity_filter::jwks::KeySet;
use serde_json::{Map, Value};

use crate::args;
use crate::caller::Caller;
use crate::cases;
use crate::clock;
use crate::document::Source;
use crate::error::Error;
use crate::paint::Paint;
use crate::policy::Policy;
use crate::question::{Certificate, Question, Request};
use crate::record;
use crate::report::Report;

pub(crate) fn run(args: &args::Explain, output: &mut dyn Write) -> Result<u8, Error> {
    let source = Source::read(&args.file)?;
    let policy = Policy::of(&source)?;
    let report = match &args.record {
        Some(file) => return record::run(args, &policy, file, output),
        None => question(args)?.ask(&policy)?,
    };
    write(&report, args.json, output)?;
    Ok(u8::from(report.decision == "deny"))
}

pub(crate) fn write(report: &Report, is_json: bool, output: &mut dyn Write) -> Result<(), Error> {
    if is_json {
        let text = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
        writeln!(output, "{text}")?;
    } else {
        Paint::of_output().report(report, output)?;
    }
    Ok(())
}

fn question(args: &args::Explain) -> Result<Question, Error> {
    Ok(Question {
        request: Request {
            method: args.method.clone().unwrap_or_else(|| "GET".into()),
            host: args.host.clone().unwrap_or_default(),
            path: args.path.clone().unwrap_or_default(),
            ..request(args)?
        },
        caller: caller(args)?,
        keys: keys(args)?,
        now: clock::at(args.at.as_deref())?,
    })
}

/// Who the options say is calling.
pub(crate) fn caller(args: &args::Explain) -> Result<Caller, Error> {
    Ok(match (&args.token, &args.claims) {
        (Some(token), _) => Caller::Token(read_token(token)?),
        (None, Some(file)) => Caller::Claims {
            provider: args.provider.clone(),
            claims: read_claims(file)?,
        },
        (None, None) => Caller::AsInHeaders,
    })
}

/// What the options say of a request besides its operation.
pub(crate) fn request(args: &args::Explain) -> Result<Request, Error> {
    let header = |text: &String| {
        // Not repeated: it may hold a token.
        let (name, value) = text.split_once(':').ok_or(Error::Argument {
            option: "--header",
            allowed: "a name, a colon and a value, such as \"x-tenant: a\"",
        })?;
        Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let address = |text: &str| {
        cases::address(text).ok_or(Error::Argument {
            option: "--source",
            allowed: "an address such as 192.0.2.1 or 2001:db8::1",
        })
    };
    Ok(Request {
        headers: args
            .headers
            .iter()
            .map(header)
            .collect::<Result<_, Error>>()?,
        source: args.source.as_deref().map(address).transpose()?,
        certificate: Certificate {
            spiffe_id: args.certificate.clone(),
            sha256: args.certificate_sha256.clone(),
        },
        ..Request::default()
    })
}

/// A token from the command line, from a file after `@`, or from standard input.
fn read_token(text: &str) -> Result<String, Error> {
    let token = match text.strip_prefix('@') {
        Some(file) => Source::read(Path::new(file))?.text,
        None if text == "-" => {
            let mut token = String::new();
            io::stdin().read_to_string(&mut token)?;
            token
        }
        None => text.into(),
    };
    Ok(token.trim().into())
}

fn read_claims(file: &Path) -> Result<Map<String, Value>, Error> {
    let source = Source::read(file)?;
    let malformed = |place, problem: String| Error::Malformed {
        file: source.name.clone(),
        place,
        problem,
    };
    let mut documents = source
        .documents()
        .map_err(|unreadable| malformed(unreadable.place, unreadable.problem))?;
    match (documents.pop(), documents.is_empty()) {
        (Some(Value::Object(claims)), true) => Ok(claims),
        _ => Err(malformed(
            None,
            "not one object with the claims of a token".into(),
        )),
    }
}

/// The key set that the options name.
pub(crate) fn keys(args: &args::Explain) -> Result<Option<KeySet>, Error> {
    let Some(file) = &args.keys else {
        return Ok(None);
    };
    let source = Source::read(file)?;
    KeySet::parse(source.text.as_bytes())
        .map(Some)
        .map_err(|refused| Error::Malformed {
            file: source.name,
            place: None,
            problem: format!("the key set is refused: {refused}"),
        })
}
