//! Which policies are in force for a target, and how they are joined: any that denies denies; of those that allow,
//! one must match; without any that allows, everything passes that is not denied.
//!
//! A request passes the gateway's policies and those of its workload. Rules are joined by "or", so where both
//! have policies that allow, one side must be contained in the other, or nothing is let in.

use super::Mesh;
use super::level::{self, Level, Picks};
use super::loss::Losses;
use super::output::Entry;
use super::pattern::Lean;
use super::provider::Provider;
use super::resource::{Kind, Resource};
use super::rule::Context;
use super::target::{self, Target};

/// The rules of the target's namespace.
pub(crate) fn build(
    target: &Target,
    resources: &[Resource],
    providers: &[Provider<'_>],
    mesh: &Mesh<'_>,
    losses: &mut Losses,
) -> Vec<Entry> {
    if target.is_undecided {
        return Vec::new();
    }
    let mut builder = Builder {
        target,
        resources,
        providers,
        mesh,
        losses,
        rules: Vec::new(),
    };
    let chosen = builder.add_denials_and_choose();
    match chosen {
        Chosen::Everything => {
            let mut entry = Entry::new("everything");
            entry.remark(
                "no policy that allows is about it, and Istio then lets in whatever none denies"
                    .into(),
            );
            entry.set("anonymous", true.into());
            builder.rules.push(entry);
        }
        Chosen::Policies(policies, levels) => {
            for policy in policies {
                builder.translate(policy, &levels, false);
            }
        }
    }
    builder.rules
}

/// Which policies that allow are carried over, and where they are in force.
enum Chosen<'a> {
    Everything,
    Policies(Vec<&'a Resource>, Vec<Vec<Level>>),
}

struct Builder<'a, 'b> {
    target: &'a Target,
    resources: &'a [Resource],
    providers: &'a [Provider<'a>],
    mesh: &'a Mesh<'a>,
    losses: &'b mut Losses,
    rules: Vec<Entry>,
}

impl<'a> Builder<'a, '_> {
    fn add_denials_and_choose(&mut self) -> Chosen<'a> {
        let (mut root, mut gateway, mut workload) = (Vec::new(), Vec::new(), Vec::new());
        // Whether some policy that allows may be in force that is not known to be.
        let (mut may_gateway, mut may_workload) = (false, false);
        let resources = self.resources;
        for policy in resources
            .iter()
            .filter(|one| one.kind == Kind::AuthorizationPolicy)
        {
            let picks = level::picks(policy, self.target, resources, self.mesh);
            if picks == Picks::No {
                continue;
            }
            let level = level::of(policy, resources, self.mesh);
            let levels = self.levels(level);
            match action(policy) {
                "AUDIT" => {}
                "ALLOW" if is_dry(policy) => self.translate(policy, &levels, false),
                "ALLOW" if picks == Picks::Unknown => {
                    self.losses.add(policy, "spec", format!("the manifests do not say whether it picks all workloads of {:?}", self.target.name),
                        "it lets nobody in there; add the Service to the files, or write the rules by hand");
                    if level == Level::Gateway {
                        may_gateway = true
                    } else {
                        may_workload = true
                    }
                }
                "ALLOW" => match level {
                    Level::Root => root.push(policy),
                    Level::Gateway => gateway.push(policy),
                    Level::Workload => workload.push(policy),
                },
                _ => {
                    if picks == Picks::Unknown {
                        self.losses.add(
                            policy,
                            "spec",
                            format!(
                                "the manifests do not say whether it picks the workloads of {:?}",
                                self.target.name
                            ),
                            "it denies there, too",
                        );
                    }
                    self.translate(policy, &levels, true);
                }
            }
        }
        let at_gateway = [root.as_slice(), &gateway].concat();
        let at_workload = [root.as_slice(), &workload].concat();
        let asks_gateway = may_gateway || !at_gateway.is_empty();
        let asks_workload =
            self.target.namespace.is_some() && (may_workload || !at_workload.is_empty());
        match (asks_gateway, asks_workload) {
            (false, false) => Chosen::Everything,
            (true, false) => Chosen::Policies(at_gateway, vec![GATEWAY.into()]),
            (false, true) => Chosen::Policies(at_workload, vec![WORKLOAD.into()]),
            (true, true) if at_workload.iter().any(|policy| allows_all(policy)) => {
                Chosen::Policies(at_gateway, vec![GATEWAY.into()])
            }
            (true, true) if at_gateway.iter().any(|policy| allows_all(policy)) => {
                Chosen::Policies(at_workload, vec![WORKLOAD.into()])
            }
            (true, true)
                if (gateway.is_empty() && !may_gateway)
                    || (workload.is_empty() && !may_workload) =>
            {
                // What passes the side that has nothing of its own passes the other by the same policy, as far as
                // the other checks the same tokens.
                let is_alone = gateway.is_empty() && workload.is_empty();
                let (one, other) = if gateway.is_empty() && !may_gateway {
                    (GATEWAY, WORKLOAD)
                } else {
                    (WORKLOAD, GATEWAY)
                };
                let is_for = |provider: &Provider<'_>, levels: &[Level]| {
                    provider.is_for(self.target, levels, Lean::Wide, resources, self.mesh)
                };
                let differs = self
                    .providers
                    .iter()
                    .any(|provider| is_for(provider, &one) && !is_for(provider, &other));
                if differs && !is_alone {
                    for policy in &root {
                        self.losses.add(
                            policy,
                            "spec.rules",
                            "gateway and workloads check tokens of different issuers",
                            "it lets in callers of issuers that both check",
                        );
                    }
                }
                Chosen::Policies(root, vec![GATEWAY.into(), WORKLOAD.into()])
            }
            (true, true) => {
                for policy in [root, gateway, workload].iter().flatten() {
                    self.losses.add(policy, "spec.rules",
                        "a request must match a policy of the gateway's and one of the workload's, and rules cannot be joined by \"and\"",
                        format!("left out: nobody is let in to {:?}; write rules that ask for both", self.target.name));
                }
                Chosen::Policies(Vec::new(), Vec::new())
            }
        }
    }

    /// Where a policy is in force, each with what counts there.
    fn levels(&self, level: Level) -> Vec<Vec<Level>> {
        match level {
            Level::Root if self.target.namespace.is_some() => vec![GATEWAY.into(), WORKLOAD.into()],
            Level::Root | Level::Gateway => vec![GATEWAY.into()],
            Level::Workload => vec![WORKLOAD.into()],
        }
    }

    /// Adds the rules of a policy. An allow rule must hold at every level, a deny rule at one.
    fn translate(&mut self, policy: &'a Resource, levels: &[Vec<Level>], is_deny: bool) {
        let is_for = |provider: &&Provider<'_>, levels: &[Level], lean| {
            provider.is_for(self.target, levels, lean, self.resources, self.mesh)
        };
        let providers = || self.providers.iter();
        let mut accepted: Vec<(Vec<&Provider<'_>>, Vec<&Provider<'_>>)> = Vec::new();
        if is_deny {
            for levels in levels {
                let own = providers().filter(|one| is_for(one, levels, Lean::Narrow));
                let may = providers().filter(|one| is_for(one, levels, Lean::Wide));
                accepted.push((own.collect(), may.collect()));
            }
            let names = |(own, may): &(Vec<&Provider<'_>>, Vec<&Provider<'_>>)| {
                let all = own.iter().chain(may).map(|provider| provider.name.clone());
                (own.len(), all.collect::<Vec<_>>())
            };
            accepted.dedup_by(|one, two| names(one) == names(two));
        } else {
            let own =
                providers().filter(|one| levels.iter().all(|at| is_for(one, at, Lean::Narrow)));
            let may = providers().filter(|one| levels.iter().any(|at| is_for(one, at, Lean::Wide)));
            accepted.push((own.collect(), may.collect()));
        }
        if action(policy) == "CUSTOM" {
            self.losses.add(policy, "spec.provider", "the filter asks no external authorizer",
                "what it would be asked about is denied; take the rules out where the policy stays in force beside the filter");
        }
        for field in policy
            .at("/spec")
            .and_then(|spec| spec.as_object())
            .into_iter()
            .flatten()
            .map(|(field, _)| field)
        {
            if !FIELDS.contains(&field.as_str()) {
                self.losses.add(
                    policy,
                    &format!("spec.{field}"),
                    "nothing is known of this field",
                    "not carried over",
                );
            }
        }
        for (own, may) in accepted {
            let mut context = Context {
                policy,
                target: self.target,
                level: level::of(policy, self.resources, self.mesh),
                is_deny,
                own,
                may,
                all: self.providers.iter().collect(),
                losses: self.losses,
            };
            for (index, rule) in policy.list("/spec/rules").iter().enumerate() {
                for mut entry in context.rules(index, rule) {
                    if is_dry(policy) {
                        entry.set("mode", "shadow".into());
                    }
                    self.rules.push(entry);
                }
            }
        }
    }
}

/// Lists what is in force nowhere, and what decides about nothing.
pub(crate) fn list_unplaced(
    targets: &[Target],
    resources: &[Resource],
    mesh: &Mesh<'_>,
    losses: &mut Losses,
) {
    for policy in resources.iter().filter(|one| target::is_policy(one)) {
        let is_policy = policy.kind == Kind::AuthorizationPolicy;
        if is_policy && action(policy) == "AUDIT" {
            losses.add(
                policy,
                "spec.action",
                "the filter records each denial, and with `audit.log_allows` each decision",
                "not carried over: it decides about nothing",
            );
            continue;
        }
        let is_placed = targets
            .iter()
            .any(|target| level::picks(policy, target, resources, mesh) != Picks::No);
        if !is_placed {
            losses.add(
                policy,
                "spec",
                "no host is known to lead to its workloads",
                "not carried over: there is nothing to keep it for",
            );
        }
    }
}

fn action(policy: &Resource) -> &str {
    policy.text("/spec/action").unwrap_or("ALLOW")
}

/// Whether it is only tried.
fn is_dry(policy: &Resource) -> bool {
    policy
        .at("/metadata/annotations")
        .and_then(|all| all["istio.io/dry-run"].as_str())
        == Some("true")
}

/// Whether one of its rules is about everything.
fn allows_all(policy: &Resource) -> bool {
    let mut rules = policy.list("/spec/rules").iter();
    rules.any(|rule| rule.as_object().is_some_and(serde_json::Map::is_empty))
}

const FIELDS: [&str; 6] = [
    "action",
    "provider",
    "rules",
    "selector",
    "targetRef",
    "targetRefs",
];
const GATEWAY: [Level; 2] = [Level::Gateway, Level::Root];
const WORKLOAD: [Level; 2] = [Level::Workload, Level::Root];
