//! The system under load: a queue-service and a rest-gateway, started for this measurement or running already.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    access::{Access, Who},
    cores::Cores,
    error::Error,
    resources::{self, Taken},
    server::{Server, bin_dir},
    settings::Place,
    wire::{Grpc, Json, channels, client},
};

/// The system under load.
#[derive(Debug)]
pub(crate) struct World {
    queue_url: String,
    http_addr: SocketAddr,
    /// Ours, where we started them: the queue-service first.
    servers: Vec<Server>,
    place: Place,
    queue_settings: Vec<String>,
    cores: Option<Cores>,
    data: Option<TempDir>,
    access: Access,
}

impl World {
    /// Takes the running servers that `place` names, or starts both on an empty data directory.
    ///
    /// # Errors
    /// Where they cannot be reached or started.
    pub(crate) async fn open(place: &Place, queue_settings: &[&str]) -> Result<Self, Error> {
        Self::open_on(place, queue_settings, None).await
    }

    /// The same, with an own queue-service on the first of these cores.
    ///
    /// # Errors
    /// Where they cannot be reached or started.
    pub(crate) async fn open_on(
        place: &Place,
        queue_settings: &[&str],
        cores: Option<Cores>,
    ) -> Result<Self, Error> {
        if let (Some(queue_url), Some(http_url)) = (&place.queue_url, &place.http_url) {
            let http_addr = loopback(http_url)?;
            loopback(queue_url)?;
            return Ok(Self {
                queue_url: queue_url.clone(),
                http_addr,
                servers: Vec::new(),
                place: place.clone(),
                queue_settings: Vec::new(),
                cores: None,
                data: None,
                access: Access::of(place)?,
            });
        }
        let data = place.folder()?;
        let access = Access::new_in(data.path())?;
        Self::start(place, queue_settings, cores, data, access).await
    }

    /// Starts both on an empty data directory, with their own limits of each client.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(crate) async fn open_limited(place: &Place) -> Result<Self, Error> {
        let data = place.folder()?;
        let access = Access::new_in(data.path())?.with_client_limits();
        Self::start(place, &[], None, data, access).await
    }

    async fn start(
        place: &Place,
        queue_settings: &[&str],
        cores: Option<Cores>,
        data: TempDir,
        access: Access,
    ) -> Result<Self, Error> {
        let queue_settings: Vec<String> =
            queue_settings.iter().map(|setting| (*setting).to_owned()).collect();
        let queue = start_queue(place, data.path(), &access, &queue_settings, "127.0.0.1:0", cores).await?;
        let queue_url = format!("http://{}", queue.grpc_addr());
        let arguments = ["--http-addr", "127.0.0.1:0", "--queue-url", &queue_url].map(str::to_owned);
        let program = bin_dir(place.bin_dir.as_deref())?.join("rest-gateway");
        let environment = &access.environment().gateway;
        let gateway = Server::start_on(None, &program, &arguments, environment, &place.work_dir()?).await?;
        let http_addr = gateway.http_addr();
        let servers = vec![queue, gateway];
        let (place, data) = (place.clone(), Some(data));
        Ok(Self { queue_url, http_addr, servers, place, queue_settings, cores, data, access })
    }

    /// A client of the queue-service for each of `clients`, who all call in the name of `who`.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn grpc(&self, who: Who, clients: usize) -> Result<Vec<Grpc>, Error> {
        let client = |channel| client(channel, self.access.credential(who));
        Ok(channels(&self.queue_url, clients).await?.into_iter().map(client).collect())
    }

    /// One client of the queue-service, an operator.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn operator(&self) -> Result<Grpc, Error> {
        Ok(self.grpc(Who::Operator, 1).await?.remove(0))
    }

    /// A connection to the gateway for each of `clients`, who all call in the name of `who`.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn json(&self, who: Who, clients: usize) -> Result<Vec<Json>, Error> {
        let connections = Json::connect_all(self.http_addr, clients).await?;
        let header = self.access.header(who);
        Ok(connections.into_iter().map(|connection| connection.with(header.clone())).collect())
    }

    /// The settings by which another generator finds these servers.
    pub(crate) fn flags(&self) -> Vec<String> {
        let http_url = format!("http://{}", self.http_addr);
        let urls = ["--queue-url".to_owned(), self.queue_url.clone(), "--http-url".to_owned(), http_url];
        [&urls[..], &self.access.flags()].concat()
    }

    /// Where the queue-service listens.
    pub(crate) fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// Where the gateway listens.
    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// What the servers have taken so far, by name; empty where they are not ours.
    pub(crate) fn taken(&self) -> BTreeMap<String, Taken> {
        let of = |server: &Server| (server.name().to_owned(), resources::taken(server.pid()));
        self.servers.iter().map(of).collect()
    }

    /// Forgets what each server held at most so far.
    pub(crate) fn reset_peaks(&self) {
        self.servers.iter().for_each(|server| resources::reset_peak(server.pid()));
    }

    /// The data directory, where it is ours.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|data| data.path().join("data"))
    }

    /// Stops the queue-service and starts it again at the same address. Tells how long the start took.
    ///
    /// # Errors
    /// Where it is not ours, or does not come back.
    pub(crate) async fn restart_queue(&mut self) -> Result<std::time::Duration, Error> {
        let Some(data) = &self.data else { return Err(Error::OwnServers("restart")) };
        let queue = self.servers.remove(0);
        let addr = queue.grpc_addr().to_string();
        queue.stop().await?;
        let (place, access, settings) = (&self.place, &self.access, &self.queue_settings);
        let queue = start_queue(place, data.path(), access, settings, &addr, self.cores).await?;
        let took = queue.took;
        self.servers.insert(0, queue);
        Ok(took)
    }

    /// Stops what was started here, the gateway first, and removes the data.
    ///
    /// # Errors
    /// Where a server cannot be awaited.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        while let Some(server) = self.servers.pop() {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn start_queue(
    place: &Place,
    folder: &Path,
    access: &Access,
    settings: &[String],
    addr: &str,
    cores: Option<Cores>,
) -> Result<Server, Error> {
    let data = folder.join("data").display().to_string();
    let own = ["--grpc-addr", addr, "--data-dir", &data].map(str::to_owned);
    let program = bin_dir(place.bin_dir.as_deref())?.join("queue-service");
    let (arguments, environment) = ([&own, settings].concat(), &access.environment().queue);
    Server::start_on(cores, &program, &arguments, environment, &place.work_dir()?).await
}

/// The address in a URL such as `http://127.0.0.1:8080`.
fn loopback(url: &str) -> Result<SocketAddr, Error> {
    let addr = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let addr: Option<SocketAddr> = addr.and_then(|addr| addr.replace("localhost", "127.0.0.1").parse().ok());
    addr.filter(|addr| addr.ip().is_loopback()).ok_or_else(|| Error::NotLoopback(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn load_goes_to_loopback_only() {
        assert_eq!(loopback("http://127.0.0.1:80/").unwrap().port(), 80);
        assert_eq!(loopback("http://localhost:81").unwrap().port(), 81);
        for url in ["http://192.0.2.1:80", "https://127.0.0.1:80", "http://example.org:80", "127.0.0.1:80"] {
            assert!(loopback(url).unwrap_err().to_string().contains(url));
        }
    }
}
