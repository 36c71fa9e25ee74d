//! Proxies before two gateways, by the configurations of docs/proxies.md: everything is restarted while people post and follow
//! streams, and nobody loses anything. A proxy that cannot be had is skipped by name.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

#[path = "proxies/proxy.rs"]
mod proxy;
#[path = "proxies/talk.rs"]
mod talk;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use e2e::{Service, within_deadline};
use libtest_mimic::{Arguments, Completion, Trial};
use proxy::{CADDY, ENVOY, HAPROXY, Kind, NGINX, NGINX_BY_DEFAULT, Proxy};
use talk::{Patience, Talks};
use tokio::time::interval;

/// The default, which the harness switches off elsewhere.
const DELAY: [&str; 2] = ["--drain-delay", "5s"];

/// As many posts as a gateway gets only if it is in use again: more than those that tried again by themselves while it was away.
const IN_USE: f64 = 50.0;

fn main() {
    let of_page = [&NGINX, &HAPROXY, &CADDY, &ENVOY].map(|kind| {
        let name =
            format!("everything_restarts_behind_{}_and_nobody_loses_anything", kind.name.to_lowercase());
        Trial::ignorable_test(name, move || Ok(run(kind, everything_restarts(kind))))
    });
    let by_default = Trial::ignorable_test(
        "two_gateways_restart_behind_nginx_with_its_defaults_and_no_post_fails",
        || Ok(run(&NGINX_BY_DEFAULT, gateways_restart_behind_nginx_by_default())),
    );
    let trials = of_page.into_iter().chain([by_default]).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(kind: &Kind, test: impl Future<Output = ()>) -> Completion {
    if kind.program().is_none() {
        return Completion::ignored_with(format!("{} is not installed ({})", kind.name, kind.program));
    }
    tokio::runtime::Runtime::new().expect("the system gives threads").block_on(test);
    Completion::Completed
}

/// A queue-service and two gateways, at addresses that they keep: nobody else uses these, so their ports stay free while they
/// are away.
struct Cluster {
    queue: Service,
    gateways: [Service; 2],
}

impl Cluster {
    async fn start() -> Self {
        let queue = Service::queue_service_at("127.77.0.1:0", &DELAY).await;
        let url = queue.grpc_url();
        let gateway = async |address| Service::gateway_at(address, &url, &DELAY).await;
        let gateways = [gateway("127.77.0.11:0").await, gateway("127.77.0.12:0").await];
        Self { queue, gateways }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [self.gateways[0].http_addr(), self.gateways[1].http_addr()]
    }

    /// Restarts both gateways, the second one when the proxy sends posts to the first one again.
    async fn restart_gateways(&mut self) {
        for gateway in &mut self.gateways {
            assert_eq!(gateway.terminate().await, Some(0));
            gateway.start_again_in_place().await;
            let used = async {
                let mut look = interval(Duration::from_millis(100));
                while posts(gateway).await < IN_USE {
                    look.tick().await;
                }
            };
            within_deadline("the proxy to send posts to a gateway that is back", used).await;
        }
    }

    async fn restart_queue(&mut self) {
        assert_eq!(self.queue.terminate().await, Some(0));
        self.queue.start_again_in_place().await;
    }
}

/// How many posts a gateway has answered since its start.
async fn posts(gateway: &Service) -> f64 {
    let metrics = gateway.browser().metrics().await;
    let lines = metrics.text().lines().filter_map(|line| line.strip_prefix("repartee_http_requests_total{"));
    let posts = lines.filter(|line| line.contains("method=\"POST\",route=\"/api/comments\""));
    posts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

async fn everything_restarts(kind: &Kind) {
    let mut cluster = Cluster::start().await;
    let proxy = Arc::new(Proxy::start(kind, cluster.addresses()).await);
    // 25 posts a second each.
    let mut once = Talks::begin(&proxy, "once", 25, Patience::Once).await;
    let mut again = Talks::begin(&proxy, "again", 25, Patience::UntilStored).await;
    once.each_has_posted(1).await;
    cluster.restart_gateways().await;
    once.finish().await;
    again.each_has_posted(1).await;
    cluster.restart_queue().await;
    again.each_has_posted(2).await;
    again.finish().await;
}

async fn gateways_restart_behind_nginx_by_default() {
    let mut cluster = Cluster::start().await;
    let proxy = Arc::new(Proxy::start(&NGINX_BY_DEFAULT, cluster.addresses()).await);
    let mut talks = Talks::begin(&proxy, "once", 50, Patience::Once).await;
    talks.each_has_posted(1).await;
    cluster.restart_gateways().await;
    talks.finish().await;
}
