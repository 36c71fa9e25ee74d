//! A caller whose word does not count: their trace is not continued, and nothing is recorded for its sake.

use e2e::{Answer, Collector, OPERATOR, SentSpan, Service, WORKER, held, question_json, reply, work};
use reqwest::Method;

use crate::{ANYBODYS, PAGE, QUESTION, TRACE, ask, sampled};

/// A queue-service and a gateway that send what they record to `collector`.
async fn services(
    collector: &Collector,
    settings: &[&str],
    more: &[(&'static str, &str)],
) -> (Service, Service) {
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let variables: Vec<_> = collector.variables().into_iter().chain(more).collect();
    let queue = Service::with_variables("queue-service", &[], &variables).await;
    let url = queue.grpc_url();
    let settings = [&["--queue-url", &url], settings].concat();
    let gateway = Service::with_variables("rest-gateway", &settings, &variables).await;
    (queue, gateway)
}

/// The trace in the `traceparent` of an answer.
fn trace_of(answer: &Answer) -> String {
    answer.header("traceparent")[3..35].to_owned()
}

/// Posts with the token of an operator, and the trace of that operator's program.
async fn ask_as_operator(gateway: &Service) -> Answer {
    let request = gateway.browser_with(OPERATOR).request(Method::POST, "/api/comments");
    let request = request.json(&question_json("echo", QUESTION)).header("traceparent", sampled());
    let answer = Answer::to(request).await;
    answer.ok(201);
    answer
}

/// True if the posts of these traces are there, from the gateway's request on.
fn has_posts<'a>(traces: &'a [String]) -> impl Fn(&[SentSpan]) -> bool + 'a {
    let has = |spans: &[SentSpan], trace: &String| {
        spans.iter().any(|span| span.trace == *trace && span.name == "POST /api/comments")
    };
    move |spans| traces.iter().all(|trace| has(spans, trace))
}

#[tokio::test]
async fn a_strangers_trace_is_linked_to_and_not_continued() {
    let collector = Collector::grpc().await;
    let (queue, gateway) = services(&collector, &[], &[]).await;
    let parent = sampled();
    let asked = ask(&gateway, &[("traceparent", &parent), ("tracestate", "page=1")]).await;
    let own = trace_of(&asked);
    assert_ne!(own, TRACE);
    assert_eq!(asked.header("tracestate"), "", "nor is what vendors noted");

    let client = queue.grpc_with(Some(WORKER)).await;
    let mut stream = client.stream(work("gpu-1", &["echo"], 1)).await.unwrap();
    let handed = stream.work().await;
    assert!(handed.traceparent.as_deref().unwrap().contains(&own), "{handed:?}");
    client.complete(held(&handed), reply("It is.")).await.unwrap();

    let spans = collector.until("the post", has_posts(&[own])).await;
    let http = spans.iter().find(|span| span.name == "POST /api/comments").unwrap();
    assert_eq!((http.parent.as_str(), &http.links), ("", &vec![(TRACE.to_owned(), PAGE.to_owned())]));
    assert!(spans.iter().all(|span| span.trace != TRACE), "{spans:#?}");
}

#[tokio::test]
async fn a_stranger_who_asks_for_it_is_recorded_no_more_than_others() {
    let collector = Collector::grpc().await;
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_always_off")];
    let (_queue, gateway) = services(&collector, &["--trusted-proxy", "127.0.0.1"], &never).await;
    let parent = sampled();
    let asked = ask(&gateway, &[("traceparent", &parent)]).await;
    assert!(asked.header("traceparent").ends_with("-00"), "{}", asked.header("traceparent"));
    // The first call with a token is the one by which the gateway learns that it is accepted.
    assert_ne!(trace_of(&ask_as_operator(&gateway).await), TRACE);
    assert_eq!(trace_of(&ask_as_operator(&gateway).await), TRACE);

    let spans = collector.until("the operator's post", has_posts(&[TRACE.to_owned()])).await;
    let posts: Vec<_> = spans.iter().filter(|span| span.name == "POST /api/comments").collect();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!((posts[0].parent.as_str(), posts[0].links.len()), (PAGE, 0));
}

#[tokio::test]
async fn a_strangers_poll_is_not_recorded_for_its_header_whether_it_waits_or_not() {
    let collector = Collector::grpc().await;
    let (_queue, gateway) = services(&collector, &[], &[]).await;
    let parent = sampled();
    let visitor = gateway.visitor();
    let poll = async |path: &str| {
        let answer = Answer::to(visitor.request(Method::GET, path).header("traceparent", &parent)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("traceparent"), "", "{path}");
        answer
    };
    let first = ask(&gateway, &[]).await;
    visitor.comments_once(|all| !all.is_empty()).await;
    poll("/api/comments").await;
    poll("/api/comments").await;
    let changes = format!("/api/comments/changes?domain={}", e2e::DOMAIN);
    let next = poll(&changes).await.json()["next"].clone();
    let waiting = format!("{changes}&cursor={}&wait=20", next.as_str().unwrap());
    let (_, second) = tokio::join!(poll(&waiting), ask(&gateway, &[]));
    for path in ["/readyz", "/livez", "/", "/openapi.json"] {
        poll(path).await;
    }
    let third = ask(&gateway, &[]).await;
    let posts = [first, second, third].map(|asked| trace_of(&asked));
    let spans = collector.until("the posts", has_posts(&posts)).await;
    let gets: Vec<_> = spans.iter().filter(|span| span.name.starts_with("GET ")).collect();
    assert!(gets.is_empty() && spans.iter().all(|span| span.trace != TRACE), "{gets:#?}");
}

#[tokio::test]
async fn a_trace_that_comes_through_a_trusted_proxy_goes_on_if_proxies_answer_for_it() {
    let collector = Collector::grpc().await;
    let settings = ["--trusted-proxy", "127.0.0.1", "--trace-parents", "proxies"];
    let (_queue, gateway) = services(&collector, &settings, &[]).await;
    let parent = sampled();
    assert_eq!(trace_of(&ask(&gateway, &[("traceparent", &parent)]).await), TRACE);
    let (_queue, gateway) = services(&collector, &settings[2..], &[]).await;
    assert_ne!(trace_of(&ask(&gateway, &[("traceparent", &parent)]).await), TRACE);
}

#[tokio::test]
async fn a_tracestate_of_more_than_512_bytes_goes_nowhere() {
    let collector = Collector::grpc().await;
    let (_queue, gateway) = services(&collector, &ANYBODYS, &[]).await;
    let parent = sampled();
    let longest = ["a", "b", "c"].map(|key| format!("{key}={}", "x".repeat(168))).join(",");
    let longer = format!("{longest}z");
    assert_eq!(longest.len(), 512);
    for (state, told) in [(&longest, longest.as_str()), (&longer, "")] {
        let asked = ask(&gateway, &[("traceparent", &parent), ("tracestate", state)]).await;
        assert_eq!((trace_of(&asked).as_str(), asked.header("tracestate")), (TRACE, told));
    }
}
