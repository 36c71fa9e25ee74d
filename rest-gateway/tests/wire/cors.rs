//! Pages of other origins.

use reqwest::Method;

use crate::world::{Answer, World};

async fn preflight(world: &World, origin: &str, method: &str) -> Answer {
    let request = world.request(Method::OPTIONS, "/api/comments/m1").header("origin", origin);
    let wanted = "authorization,idempotency-key,if-none-match,content-type,x-request-id";
    let request = request.header("access-control-request-method", method);
    Answer::to(request.header("access-control-request-headers", wanted)).await
}

#[tokio::test]
async fn no_origin_is_allowed_by_default() {
    let world = World::start().await;
    let request = world.request(Method::GET, "/api/comments").header("origin", "https://a.example");
    assert_eq!(Answer::to(request).await.header("access-control-allow-origin"), "");
    assert_eq!(
        preflight(&world, "https://a.example", "PATCH").await.header("access-control-allow-origin"),
        ""
    );
}

#[tokio::test]
async fn a_listed_origin_may_send_and_read_what_the_interface_needs() {
    let world =
        World::start_with(&["--cors-origin", "https://a.example", "--cors-origin", "https://b.example"])
            .await;
    for method in ["PATCH", "DELETE"] {
        let answer = preflight(&world, "https://b.example", method).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://b.example");
        assert!(answer.header("access-control-allow-methods").contains(method));
        for name in ["authorization", "idempotency-key", "if-none-match", "content-type", "x-request-id"] {
            assert!(answer.header("access-control-allow-headers").contains(name), "{name}");
        }
    }
    // Errors too: a page has to be able to read why.
    let request = world.request(Method::GET, "/nothing").header("origin", "https://a.example");
    let answer = Answer::to(request).await;
    answer.problem(404);
    assert_eq!(answer.header("access-control-allow-origin"), "https://a.example");
    let exposed = answer.header("access-control-expose-headers");
    for name in ["etag", "location", "retry-after", "x-next-cursor", "x-more", "x-storage-reads"] {
        assert!(exposed.contains(name), "{name}");
    }
    assert!(exposed.contains("idempotent-replayed") && exposed.contains("x-request-id"));
}

#[tokio::test]
async fn an_origin_that_is_not_listed_is_not_allowed() {
    let world = World::start_with(&["--cors-origin", "https://a.example"]).await;
    let answer = preflight(&world, "https://evil.example", "PATCH").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let world = World::start_with(&["--cors-origin", "*"]).await;
    let answer = preflight(&world, "https://any.example", "DELETE").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn every_site_may_load_the_modules_and_no_other_file() {
    let world = World::start_with(&["--cors-origin", "https://a.example"]).await;
    for (path, for_all) in [
        ("/repartee.js", true),
        ("/embed.js", true),
        ("/repartee.d.ts", true),
        ("/app.js", false),
        ("/", false),
    ] {
        for origin in ["https://a.example", "https://any.example"] {
            let answer = Answer::to(world.request(Method::GET, path).header("origin", origin)).await;
            let allowed = answer.headers.get_all("access-control-allow-origin").iter().collect::<Vec<_>>();
            match (for_all, origin) {
                (_, "https://a.example") => assert_eq!(allowed, ["https://a.example"], "{path}"),
                (true, _) => assert_eq!(allowed, ["*"], "{path}"),
                (false, _) => assert!(allowed.is_empty(), "{path}"),
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_kept_by_browsers_and_asked_for_again_by_its_tag() {
    let world = World::start().await;
    // A visitor who has no secret yet is given one with the page, which is kept by nobody then.
    let known = format!("repartee-visitor={}", "v".repeat(32));
    assert_eq!(world.get("/").await.header("cache-control"), "no-store");
    for path in ["/", "/style.css", "/repartee.js"] {
        let get = || world.request(Method::GET, path).header("cookie", &known);
        let file = Answer::to(get()).await;
        assert_eq!((file.status, file.header("cache-control")), (200, "no-cache"), "{path}");
        let tag = file.header("etag").to_owned();
        let again = Answer::to(get().header("if-none-match", &tag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    assert!(world.get("/repartee.js").await.header("content-type").starts_with("text/javascript"));
}
