//! `import istio`: a first configuration from RequestAuthentication and AuthorizationPolicy resources.
//!
//! Nothing becomes weaker on the way: where a condition cannot be carried over, an allow rule is left out and a
//! deny rule denies more, and both are listed. What the result says is checked by the core like any other.

use std::io::Write;

use serde_json::{Value, json};

use crate::args::{self, Origin};
use crate::error::Error;
use crate::mistakes;

mod address;
mod condition;
mod level;
mod loss;
mod operation;
mod output;
mod pattern;
mod policy;
mod provider;
mod resource;
mod route;
mod rule;
mod target;

use loss::Losses;
use output::Output;
use resource::Resource;

/// What the import is told besides the files.
pub(crate) struct Mesh<'a> {
    pub(crate) root: &'a str,
    pub(crate) gateways: &'a [String],
}

pub(crate) fn run(args: &args::Import, output: &mut dyn Write) -> Result<u8, Error> {
    let Origin::Istio(args) = &args.origin;
    let resources = resource::read(&args.files)?;
    let mesh = Mesh {
        root: &args.root_namespace,
        gateways: &args.gateway_namespace,
    };
    let mut losses = Losses::default();
    let result = translate(&resources, &mesh, &mut losses);
    let document = result.document();
    if let Some(mistake) = mistakes::find(&document).first() {
        return Err(Error::NotImported {
            problem: mistake.to_string(),
        });
    }
    if args.json {
        let listed: Vec<Value> = losses.iter().map(loss::Loss::to_json).collect();
        let all = json!({"configuration": document, "not_carried_over": listed});
        writeln!(output, "{all:#}")?;
    } else {
        output.write_all(result.yaml().as_bytes())?;
        for loss in losses.iter() {
            eprintln!("{loss}");
        }
    }
    Ok((!losses.is_empty()).into())
}

fn translate(resources: &[Resource], mesh: &Mesh<'_>, losses: &mut Losses) -> Output {
    let mut result = Output::default();
    let providers = provider::build(resources, losses);
    let targets = target::find(resources, mesh, losses);
    for provider in &providers {
        result.add_provider(provider);
    }
    result.forward_token = provider::forwards(&providers, losses);
    for target in &targets {
        result.add_namespace(target);
        for draft in policy::build(target, resources, &providers, mesh, losses) {
            result.add_rule(target, &draft);
        }
    }
    policy::list_unplaced(&targets, resources, mesh, losses);
    result
}
