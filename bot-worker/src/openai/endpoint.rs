//! The HTTP of an endpoint: one request, no retry, no redirect.

use std::time::{Duration, SystemTime};

use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect,
};
use serde_json::Value;

use super::{
    failure::{self, Failure},
    retry_after,
    settings::OpenAiSettings,
    spending::Bill,
};
use crate::Error;

/// How long a connection to the endpoint may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The address that chats are sent to.
#[derive(Debug)]
pub(super) struct Endpoint {
    http: Client,
    url: Url,
}

impl Endpoint {
    pub(super) fn new(base_url: &str, settings: &OpenAiSettings) -> Result<Self, Error> {
        let agent = concat!("repartee-bot-worker/", env!("CARGO_PKG_VERSION"));
        let client = Client::builder().user_agent(agent).connect_timeout(CONNECT);
        // What people wrote goes where the operator said, and nowhere else.
        let client = client.redirect(redirect::Policy::none()).default_headers(headers(settings));
        let wrong = || Error::Setting {
            setting: "openai_base_url",
            problem: format!("must be an http or https URL, not {base_url:?}"),
        };
        Ok(Self { http: client.build()?, url: chat_url(base_url).ok_or_else(wrong)? })
    }

    /// Its host and its port.
    pub(super) fn server(&self) -> (&str, Option<u16>) {
        (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default())
    }

    /// Sends one chat, whose answer may take so long. A response has succeeded; its body is still to be read. What is refused
    /// costs nothing.
    pub(super) async fn send(
        &self,
        chat: &Value,
        patience: Duration,
        bill: &mut Bill<'_>,
    ) -> Result<Response, Failure> {
        let sent = self.http.post(self.url.clone()).timeout(patience).json(chat).send().await;
        let response = sent.map_err(|error| {
            if error.is_connect() {
                bill.waive();
            }
            failure::of_request(&error)
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        bill.waive();
        let wait = retry_after::wait(response.headers(), SystemTime::now());
        Err(failure::of_status(response.status(), wait))
    }
}

/// The address of chats below a base URL, whose query stays as it is: Azure has the version of its API there.
fn chat_url(base: &str) -> Option<Url> {
    let mut url = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

/// What goes with each request beside the chat. Values that cannot be sent were refused with the settings.
fn headers(settings: &OpenAiSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(settings.headers.iter().filter_map(|header| header.parts().ok()));
    if let Some(key) = &settings.openai_api_key {
        let (name, key) = (&settings.api_key_header.0, key.reveal());
        let value = if name == AUTHORIZATION { format!("Bearer {key}") } else { key.to_owned() };
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::chat_url;

    #[test]
    fn chats_go_below_the_base_url_and_its_query_stays() {
        let url = |base| chat_url(base).map(String::from);
        assert_eq!(
            url("http://127.0.0.1:8000/v1/").as_deref(),
            Some("http://127.0.0.1:8000/v1/chat/completions")
        );
        assert_eq!(
            url("https://x.openai.azure.com/openai/deployments/small?api-version=2024-10-21").as_deref(),
            Some(
                "https://x.openai.azure.com/openai/deployments/small/chat/completions?api-version=2024-10-21"
            )
        );
        assert_eq!(url("ftp://127.0.0.1"), None);
    }
}
