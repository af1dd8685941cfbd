//! The attacks of docs/attacks.md, each a test of its own: through the real Envoy, with the real module,
//! with keys that are fetched. One gateway serves them all, one after the other, and after each refusal
//! an honest token has to pass.

mod algorithm;
mod catalogue;
mod claims;
mod credential;
mod curve;
mod forge;
mod form;
mod key_set;
mod range;
mod remembered;
mod rsa_forge;
mod rsa_signature;
mod told;

use std::{pin::Pin, process::ExitCode, sync::Arc};

use e2e::{conversation::Mismatch, error::HarnessError};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::{runtime::Runtime, sync::OnceCell};

use self::range::Range;

/// One attack of the catalogue.
#[derive(Debug)]
struct Attack {
    /// Its row in docs/attacks.md.
    row: u8,
    /// A fact about the product: the test's name.
    name: &'static str,
    run: for<'range> fn(&'range Range) -> Verdict<'range>,
}

/// An attack that is under way.
type Verdict<'range> = Pin<Box<dyn Future<Output = Result<(), Mismatch>> + 'range>>;

/// Every attack, in the order of its row.
fn attacks() -> impl Iterator<Item = &'static Attack> {
    let groups = [
        algorithm::ATTACKS,
        form::ATTACKS,
        rsa_signature::ATTACKS,
        curve::ATTACKS,
        key_set::ATTACKS,
        claims::ATTACKS,
        credential::ATTACKS,
        remembered::ATTACKS,
        told::ATTACKS,
    ];
    let mut attacks: Vec<_> = groups.into_iter().flatten().collect();
    attacks.sort_by_key(|attack| attack.row);
    attacks.into_iter()
}

/// Where the attacks take place, as soon as the first one does.
struct Ground {
    range: OnceCell<Range>,
    runtime: Runtime,
}

impl Ground {
    fn hold(&self, attack: &Attack) -> Result<(), Failed> {
        let outcome = self.runtime.block_on(async {
            let range = self.range.get_or_try_init(Range::start).await?;
            (attack.run)(range).await
        });
        outcome.map_err(|mismatch: Mismatch| mismatch.to_string().into())
    }
}

fn main() -> Result<ExitCode, HarnessError> {
    let mut arguments = Arguments::from_args();
    // They share the gateway, and some of them change what its key server answers.
    arguments.test_threads = Some(1);
    let runtime = Runtime::new().map_err(|source| HarnessError::Spawn {
        process: "the runtime".to_owned(),
        source,
    })?;
    let ground = Arc::new(Ground {
        range: OnceCell::new(),
        runtime,
    });
    let mut trials = vec![Trial::test("catalogue_and_tests_agree", catalogue::agrees)];
    trials.extend(attacks().map(|attack| {
        let ground = Arc::clone(&ground);
        Trial::test(attack.name, move || ground.hold(attack))
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(ground) = Arc::into_inner(ground)
        && let Some(range) = ground.range.into_inner()
    {
        let _in_the_runtime = ground.runtime.enter();
        range.end(conclusion.has_failed());
    }
    Ok(conclusion.exit_code())
}
