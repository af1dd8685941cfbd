//! The attacks of docs/attacks.md, each a test of its own: through the real Envoy, with the real module,
//! with keys that are fetched or, where an attack is not about tokens, written down. One gateway serves
//! those on tokens, one after the other, and after each refusal an honest token has to pass; another one,
//! with nginx behind it, serves those on everything else.

mod algorithm;
mod catalogue;
mod claim_values;
mod claims;
mod credential;
mod curve;
mod forge;
mod form;
mod host;
mod impostor;
mod key_set;
mod method;
mod path;
mod range;
mod remembered;
mod rsa_forge;
mod rsa_signature;
mod site;
mod spelling;
mod told;

use std::{pin::Pin, process::ExitCode, sync::Arc};

use e2e::{conversation::Mismatch, error::HarnessError};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::{runtime::Runtime, sync::OnceCell};

use self::{range::Range, site::Site};

/// One attack of the catalogue.
#[derive(Debug)]
struct Attack<P: 'static = Range> {
    /// Its row in docs/attacks.md.
    row: u8,
    /// A fact about the product: the test's name.
    name: &'static str,
    run: for<'place> fn(&'place P) -> Verdict<'place>,
}

/// An attack that is under way.
type Verdict<'place> = Pin<Box<dyn Future<Output = Result<(), Mismatch>> + 'place>>;

/// Where attacks take place.
trait Place: Sized + Send + Sync + 'static {
    /// Starts all that is needed.
    async fn start() -> Result<Self, Mismatch>;
    /// Ends it; its logs stay where something was not as it should be.
    fn end(self, has_failed: bool);
}

/// Those on tokens and keys.
const ON_TOKENS: [&[Attack]; 9] = [
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

/// Those on headers, paths, hosts and methods.
const ON_REQUESTS: [&[Attack<Site>]; 5] = [
    impostor::ATTACKS,
    claim_values::ATTACKS,
    path::ATTACKS,
    host::ATTACKS,
    method::ATTACKS,
];

/// The row and the name of every attack.
fn attacks() -> impl Iterator<Item = (u8, &'static str)> {
    let on_tokens = ON_TOKENS.into_iter().flatten();
    let on_requests = ON_REQUESTS.into_iter().flatten();
    on_tokens
        .map(|attack| (attack.row, attack.name))
        .chain(on_requests.map(|attack| (attack.row, attack.name)))
}

/// A place, as soon as the first attack needs it.
struct Ground<P> {
    place: OnceCell<P>,
    runtime: Arc<Runtime>,
}

impl<P: Place> Ground<P> {
    fn new(runtime: &Arc<Runtime>) -> Arc<Self> {
        Arc::new(Self {
            place: OnceCell::new(),
            runtime: Arc::clone(runtime),
        })
    }

    /// These attacks as tests, in the order of their rows.
    fn trials(self: &Arc<Self>, attacks: &[&'static [Attack<P>]]) -> Vec<Trial> {
        let mut attacks: Vec<_> = attacks.iter().copied().flatten().collect();
        attacks.sort_by_key(|attack| attack.row);
        let trial = |attack: &'static Attack<P>| {
            let ground = Arc::clone(self);
            Trial::test(attack.name, move || ground.hold(attack))
        };
        attacks.into_iter().map(trial).collect()
    }

    fn hold(&self, attack: &Attack<P>) -> Result<(), Failed> {
        let outcome = self.runtime.block_on(async {
            let place = self.place.get_or_try_init(P::start).await?;
            (attack.run)(place).await
        });
        outcome.map_err(|mismatch: Mismatch| mismatch.to_string().into())
    }

    fn end(self: Arc<Self>, has_failed: bool) {
        if let Some(ground) = Arc::into_inner(self)
            && let Some(place) = ground.place.into_inner()
        {
            let _in_the_runtime = ground.runtime.enter();
            place.end(has_failed);
        }
    }
}

fn main() -> Result<ExitCode, HarnessError> {
    let mut arguments = Arguments::from_args();
    // They share gateways, and some of them change what a key server answers.
    arguments.test_threads = Some(1);
    let runtime = Runtime::new().map_err(|source| HarnessError::Spawn {
        process: "the runtime".to_owned(),
        source,
    })?;
    let runtime = Arc::new(runtime);
    let (range, site) = (
        Ground::<Range>::new(&runtime),
        Ground::<Site>::new(&runtime),
    );
    let mut trials = vec![Trial::test("catalogue_and_tests_agree", catalogue::agrees)];
    trials.extend(range.trials(&ON_TOKENS));
    trials.extend(site.trials(&ON_REQUESTS));
    let conclusion = libtest_mimic::run(&arguments, trials);
    range.end(conclusion.has_failed());
    site.end(conclusion.has_failed());
    Ok(conclusion.exit_code())
}
