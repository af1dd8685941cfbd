//! Checks of `clusters[].endpoints`.

use std::collections::HashSet;

use crate::cluster::plan::Rank;
use crate::cluster::roster::{MOST_ENDPOINTS, Target};
use crate::config::ConfigError;
use crate::config::checks::{bounded, once};
use crate::config::document;

pub(super) fn validate(at: &str, cluster: &document::Cluster) -> Result<Vec<Target>, ConfigError> {
    let at = format!("{at}.endpoints");
    let endpoints = match (&cluster.endpoints, &cluster.dns) {
        (None, Some(_)) => return Ok(Vec::new()),
        (Some(endpoints), None) => endpoints,
        (Some(_), Some(_)) => {
            return Err(ConfigError::Unsupported {
                at,
                found: "endpoints beside dns".to_owned(),
                allowed: "one of the two",
            });
        }
        (None, None) => {
            return Err(ConfigError::Missing {
                at,
                needed: "endpoints or dns",
            });
        }
    };
    if endpoints.is_empty() {
        return Err(ConfigError::Empty { at });
    }
    if endpoints.len() > MOST_ENDPOINTS {
        return Err(ConfigError::TooMany {
            at,
            got: endpoints.len(),
            most: MOST_ENDPOINTS,
        });
    }
    let mut seen = HashSet::new();
    let mut targets = Vec::with_capacity(endpoints.len());
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let address = endpoint.address.to_string();
        once(&mut seen, &format!("{at}.address"), &address)?;
        let remote = match (&cluster.prefer_locality, &endpoint.locality) {
            (None, Some(_)) => {
                return Err(ConfigError::Unsupported {
                    at: format!("{at}.locality"),
                    found: "a locality without prefer_locality of the cluster".to_owned(),
                    allowed: "leaving it out",
                });
            }
            (preferred, locality) => preferred != locality,
        };
        let weight = bounded(&format!("{at}.weight"), endpoint.weight, 1..=100)?;
        let priority = bounded(&format!("{at}.priority"), endpoint.priority, 0..=9)?;
        targets.push(Target {
            address: endpoint.address.into(),
            weight: u16::try_from(weight).unwrap_or(u16::MAX),
            rank: Rank {
                priority: u8::try_from(priority).unwrap_or(u8::MAX),
                remote,
            },
        });
    }
    Ok(targets)
}
