//! The routes and what stands in front of each; the OpenAPI document comes from the same lines.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;
use crate::auth::Need;
use crate::guard::{admit, observe};
use crate::routes::{about, coordinator, live, probes, signals, webhooks, work};
use crate::shared::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncegate",
        description = "Lets each trading signal through to the broker once. Instants end in `_at_ms` (Unix time in \
                       milliseconds), durations in `_ms`. Every answer from 400 on has the same body, with a code for \
                       programs and a message for people."
    ),
    tags(
        (name = "signals", description = "Signals in, and what became of them"),
        (name = "coordinator", description = "Who leads, who led, and operators' words"),
        (name = "work", description = "Orders handed to an engine in another language"),
        (name = "live", description = "One node's picture of the cluster"),
        (name = "probes", description = "For load balancers, service managers and Prometheus"),
        (name = "about", description = "The dashboard and this document"),
    )
)]
struct Document;

/// The name of the one security scheme in the document.
const BEARER: &str = "bearer";

/// The OpenAPI 3.1 document, which is also served at `/openapi.json`.
pub fn openapi(version: &str) -> utoipa::openapi::OpenApi {
    let mut document = parts().document.clone();
    version.clone_into(&mut document.info.version);
    document
}

/// The whole API as one service.
pub(crate) fn router(api: Api) -> Router {
    let shared = Arc::new(Shared::new(api));
    let guarded = parts().groups.iter().fold(Router::new(), |all, (need, group)| {
        all.merge(group.clone().layer(from_fn_with_state((Arc::clone(&shared), *need), admit)))
    });
    guarded.with_state(Arc::clone(&shared)).layer(from_fn_with_state(shared, observe))
}

/// What is alike for every API of this process.
struct Parts {
    /// All routes, by what each asks of its caller.
    groups: [(Need, Router<Arc<Shared>>); 5],
    /// Of no version yet.
    document: utoipa::openapi::OpenApi,
}

/// Made once: to describe the routes takes a millisecond, and simulated processes start by the thousand.
fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let mut document = Document::openapi();
        let groups = routes().map(|(need, group)| {
            let (router, described) = group.split_for_parts();
            document.merge(described);
            (need, router)
        });
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("A token from the configuration; its role is submit or operate.".to_owned());
        document.components.get_or_insert_default().add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        Parts { groups, document }
    })
}

/// All routes, by what each asks of its caller.
fn routes() -> [(Need, OpenApiRouter<Arc<Shared>>); 5] {
    let nothing = OpenApiRouter::new()
        .routes(routes!(about::page))
        .routes(routes!(about::document))
        .routes(routes!(probes::leader))
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz));
    let read = OpenApiRouter::new()
        .routes(routes!(signals::list))
        .routes(routes!(signals::show))
        .routes(routes!(coordinator::leader))
        .routes(routes!(coordinator::history))
        .routes(routes!(live::overview))
        .routes(routes!(live::events))
        .routes(routes!(probes::metrics))
        .routes(routes!(probes::metrics_json));
    let submit = OpenApiRouter::new()
        .routes(routes!(signals::submit))
        .routes(routes!(work::work))
        .routes(routes!(work::begin))
        .routes(routes!(work::outcome));
    // Each of these has a check of its own in place of a token.
    let checked = OpenApiRouter::new().routes(routes!(webhooks::receive)).routes(routes!(webhooks::receive_by_path));
    let operate = OpenApiRouter::new()
        .routes(routes!(signals::resolve))
        .routes(routes!(coordinator::step_down))
        .routes(routes!(coordinator::pause))
        .routes(routes!(coordinator::resume));
    [
        (Need::Nothing, nothing),
        (Need::Read, read),
        (Need::Submit, submit),
        (Need::Check, checked),
        (Need::Operate, operate),
    ]
}
