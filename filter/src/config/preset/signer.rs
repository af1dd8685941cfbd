//! Who signs at AWS, by ARN: the one field of a preset that is about the token's header and not about a
//! claim, and where the keys of each are.

use alloc::format;
use alloc::string::String;

/// The field.
pub(super) const SIGNER: &str = "signer";

/// Partition and region of the ARN of a resource of `service` whose name begins with `kind`
/// (`arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME`).
fn place<'a>(arn: &'a str, service: &str, kind: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let [prefix, partition, of, region, account, name] =
        [next(), next(), next(), next(), next(), next()];
    let is_word = |text: &str| {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
    };
    let is_named = name.strip_prefix(kind).is_some_and(|rest| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/';
        (1..=128).contains(&rest.len()) && rest.bytes().all(is_allowed)
    });
    let is_whole = prefix == "arn"
        && partition.starts_with("aws")
        && is_word(partition)
        && of == service
        && is_word(region)
        && super::is_account(account)
        && is_named;
    is_whole.then_some((partition, region))
}

fn load_balancer(arn: &str) -> Option<(&str, &str)> {
    place(arn, "elasticloadbalancing", "loadbalancer/app/")
}

pub(super) fn is_load_balancer(arn: &str) -> bool {
    load_balancer(arn).is_some()
}

pub(super) fn load_balancer_keys(arn: &str) -> Option<String> {
    match load_balancer(arn)? {
        ("aws", region) => Some(format!(
            "https://public-keys.auth.elb.{region}.amazonaws.com/{{kid}}"
        )),
        ("aws-us-gov", region) => Some(format!(
            "https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}/{{kid}}"
        )),
        _ => None,
    }
}

fn verified_access(arn: &str) -> Option<(&str, &str)> {
    place(arn, "ec2", "verified-access-instance/")
}

pub(super) fn is_verified_access(arn: &str) -> bool {
    verified_access(arn).is_some()
}

pub(super) fn verified_access_keys(arn: &str) -> Option<String> {
    match verified_access(arn)? {
        ("aws", region) => Some(format!(
            "https://public-keys.prod.verified-access.{region}.amazonaws.com/{{kid}}"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
