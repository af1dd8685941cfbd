//! The real Istio between the two halves: a registry, istiod, its agents, and the manifests as
//! kustomize builds them, in good order and with faults. All of it in a network of this process alone,
//! where pods have addresses of their own. `scripts/test istio` builds what these tests need, and runs
//! them.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed test says what it saw, and so does a passed one"
)]

mod components;
mod control_plane;
mod conversation;
mod doors;
mod ended_vm;
mod gateway_api;
mod image;
mod policy;
mod rollout;
mod sidecars;

use std::process::ExitCode;

use e2e::{
    error::HarnessError,
    http::{Ask, Exchange},
    network,
};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use tokio::runtime::Builder;

/// Functions as tests of their names.
macro_rules! tests {
    ($($name:path,)*) => {
        vec![$(Trial::test(stringify!($name), || {
            Builder::new_current_thread().enable_all().build()?.block_on($name());
            Ok(())
        })),*]
    };
}

fn main() -> Result<ExitCode, HarnessError> {
    let arguments = Arguments::from_args();
    network::leave_the_machines()?;
    let tests = tests![
        components::a_second_check_sees_the_token_and_refuses_what_it_does_not_know,
        components::a_traffic_extension_brings_the_filter_as_the_plugin_does,
        control_plane::traffic_goes_on_without_istiod_and_one_that_is_started_again_takes_over,
        conversation::istio_takes_the_manifests_and_puts_everything_in_its_place,
        conversation::the_conversation_holds_behind_istio,
        doors::what_does_not_come_from_the_front_is_refused_and_counted,
        doors::who_is_not_the_front_is_refused_by_the_policy_where_the_handshake_lets_him_in,
        ended_vm::with_fail_close_nothing_passes_until_the_filter_is_configured_anew,
        ended_vm::with_fail_reload_the_vm_comes_back_and_nothing_passes_meanwhile,
        gateway_api::a_gateway_in_the_words_of_the_gateway_api_decides_and_routes,
        gateway_api::a_route_to_another_namespace_needs_its_grant,
        image::a_registry_that_was_down_at_the_start_is_asked_again_when_istiod_is_started_anew,
        image::a_registry_that_was_down_at_the_start_is_asked_again_when_the_filter_is_changed,
        image::nothing_passes_with_an_image_of_another_digest_and_the_right_one_recovers,
        policy::a_bad_configuration_is_refused_and_the_old_one_goes_on_to_decide,
        policy::a_new_gateway_with_a_bad_configuration_says_it_is_ready_and_refuses_everything,
        policy::a_policy_changed_under_load_decides_each_request_by_the_old_or_by_the_new,
        rollout::at_the_default_wait_a_new_image_lets_none_in_that_it_should_not,
        rollout::a_new_image_under_load_loses_no_request_and_lets_none_in_that_it_should_not,
        sidecars::a_workload_hears_the_gateway_alone_and_what_was_decided_for_its_namespace,
        sidecars::a_workload_takes_no_clear_text_and_nobody_without_a_certificate,
        sidecars::who_may_call_a_workload_may_still_not_bring_the_gateways_headers,
    ];
    Ok(libtest_mimic::run(&arguments, tests).exit_code())
}

/// A page of Envoy's admin port.
async fn page(admin: std::net::SocketAddr, path: &str) -> Value {
    let mut exchange = Exchange::open_clear(admin).await.unwrap();
    let ask = Ask::get(&admin.to_string(), path);
    exchange.send(ask).await.unwrap().json()
}
