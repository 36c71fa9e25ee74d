//! A proxy that runs by the configuration that docs/proxies.md shows for it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use e2e::{Browser, installed, within_deadline};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
};

/// The page with the configurations.
const PAGE: &str = include_str!("../../../docs/proxies.md");
/// The gateways of that page.
const GATEWAYS: [&str; 2] = ["10.0.0.11:8080", "10.0.0.12:8080"];

/// How one of the proxies is started.
pub(crate) struct Kind {
    /// Its name, and its heading on the page.
    pub(crate) name: &'static str,
    /// Its program.
    pub(crate) program: &'static str,
    /// What stands on the page, and what it has to be here; `SOCKET` is where the proxy listens, `ONE` and `TWO` are the gateways.
    replaced: &'static [(&'static str, &'static str)],
    /// What surrounds the configuration of the page: `PAGE`. `FOLDER` is for its files.
    around: &'static str,
    /// Its arguments; `FILE` is the configuration.
    arguments: &'static [&'static str],
}

pub(crate) const NGINX: Kind = Kind {
    name: "nginx",
    program: "nginx",
    replaced: &[("listen 80;", "listen unix:SOCKET;"), (GATEWAYS[0], "ONE"), (GATEWAYS[1], "TWO")],
    around: "daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/log; events { worker_connections 2048; } http { access_log off; \
             client_body_temp_path FOLDER/1; proxy_temp_path FOLDER/2; fastcgi_temp_path FOLDER/3; uwsgi_temp_path FOLDER/4; \
             scgi_temp_path FOLDER/5;\nPAGE\n}",
    arguments: &["-c", "FILE", "-e", "FOLDER/log"],
};

/// What the proxy does without a word in its configuration.
pub(crate) const NGINX_BY_DEFAULT: Kind = Kind {
    name: "nginx by its defaults",
    replaced: &[],
    around: "daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/log; events { worker_connections 2048; } http { access_log off; \
             client_body_temp_path FOLDER/1; proxy_temp_path FOLDER/2; fastcgi_temp_path FOLDER/3; uwsgi_temp_path FOLDER/4; \
             scgi_temp_path FOLDER/5; upstream repartee { server ONE; server TWO; } \
             server { listen unix:SOCKET; location / { proxy_pass http://repartee; } } }",
    ..NGINX
};

pub(crate) const HAPROXY: Kind = Kind {
    name: "HAProxy",
    program: "haproxy",
    replaced: &[("bind :80", "bind unix@SOCKET"), (GATEWAYS[0], "ONE"), (GATEWAYS[1], "TWO")],
    around: "PAGE\n",
    arguments: &["-db", "-f", "FILE"],
};

pub(crate) const CADDY: Kind = Kind {
    name: "Caddy",
    program: "caddy",
    replaced: &[
        ("talk.example {", "http://talk.example {\nbind unix/SOCKET"),
        (GATEWAYS[0], "ONE"),
        (GATEWAYS[1], "TWO"),
    ],
    around: "{\nadmin off\npersist_config off\n}\nPAGE",
    arguments: &["run", "--adapter", "caddyfile", "--config", "FILE"],
};

pub(crate) const ENVOY: Kind = Kind {
    name: "Envoy",
    program: "envoy",
    replaced: &[
        ("{ socket_address: { address: 0.0.0.0, port_value: 80 } }", "{ pipe: { path: SOCKET } }"),
        ("{ address: 10.0.0.11, port_value: 8080 }", "{ address: HOST1, port_value: PORT1 }"),
        ("{ address: 10.0.0.12, port_value: 8080 }", "{ address: HOST2, port_value: PORT2 }"),
    ],
    around: "PAGE\n",
    arguments: &["-c", "FILE", "--concurrency", "2", "--disable-hot-restart"],
};

impl Kind {
    /// Its program, if it is here.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        installed(self.program)
    }

    /// The configuration for these gateways.
    fn configuration(&self, folder: &Path, socket: &Path, [one, two]: [SocketAddr; 2]) -> String {
        let mut page = if self.replaced.is_empty() { String::new() } else { of_page(self.name).to_owned() };
        for (shown, here) in self.replaced {
            assert!(page.contains(shown), "docs/proxies.md shows no {shown:?} for {}", self.name);
            page = page.replace(shown, here);
        }
        let text = self.around.replace("PAGE", &page);
        let text = text.replace("ONE", &one.to_string()).replace("TWO", &two.to_string());
        let text = text.replace("HOST1", &one.ip().to_string()).replace("PORT1", &one.port().to_string());
        let text = text.replace("HOST2", &two.ip().to_string()).replace("PORT2", &two.port().to_string());
        let text = text.replace("SOCKET", &socket.display().to_string());
        text.replace("FOLDER", &folder.display().to_string())
    }
}

/// The configuration that the page shows under this heading.
fn of_page(heading: &str) -> &'static str {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the page has the heading");
    let (_, block) = section.split_once("```").expect("a configuration follows");
    let (_, text) = block.split_once('\n').expect("it has lines");
    text.split_once("\n```").expect("it has an end").0
}

/// A proxy on a socket of its own, before two gateways. Dropping it ends it.
pub(crate) struct Proxy {
    browser: Browser,
    folder: TempDir,
    _process: Child,
}

impl Proxy {
    pub(crate) async fn start(kind: &Kind, gateways: [SocketAddr; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        // Envoy goes by the end of the name.
        let (socket, file) = (folder.path().join("socket"), folder.path().join("configuration.yaml"));
        let text = kind.configuration(folder.path(), &socket, gateways);
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(folder.path().join("output")).unwrap();
        let arguments = kind.arguments.iter().map(|argument| {
            let argument = argument.replace("FILE", &file.display().to_string());
            argument.replace("FOLDER", &folder.path().display().to_string())
        });
        let program = kind.program().expect("the test is skipped without it");
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.kill_on_drop(true).spawn().unwrap();
        let client = reqwest::Client::builder().no_proxy().unix_socket(socket.clone()).build().unwrap();
        let browser = Browser::by(client, "http://talk.example");
        let mut proxy = Self { browser, folder, _process: process };
        let listens = async {
            while UnixStream::connect(&socket).await.is_err() {
                let ended = proxy._process.try_wait().unwrap();
                assert!(ended.is_none(), "{} ended: {}", kind.name, proxy.output());
                tokio::task::yield_now().await;
            }
        };
        within_deadline("the proxy to listen", listens).await;
        proxy
    }

    /// A client of the gateways behind it.
    pub(crate) fn browser(&self) -> Browser {
        self.browser.clone()
    }

    fn output(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("output") + &read("log")
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its processes logged")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the proxy\n{}", self.output());
        }
    }
}
