//! Chat in every dialect: one path from request to answer, whatever the caller speaks.

use axum::extract::Request;
use axum::response::Response;
use unfail_engine::Call;
use unfail_engine::call::{Ask, Errand};
use unfail_engine::identify::Caller;
use unfail_engine::observe::Aside;
use unfail_engine::route::Unroutable;
use unfail_engine::via;
use unfail_wire::Dialect;
use unfail_wire::format::Inbound;
use unfail_wire::problem::ProblemKind;

use crate::ask;
use crate::desk::errand;
use crate::due::Due;
use crate::relay::{self, Form};
use crate::reply::{Reject, Replier};
use crate::state::{Mode, Server};

/// Answers a question in a dialect.
pub(crate) async fn answer(
    server: &Server,
    dialect: &'static dyn Dialect,
    request: Request,
    due: &Due,
) -> Response {
    let replier = Replier::new(server, dialect);
    let mut errand = errand(server, &replier);
    match serve(server, dialect, &mut errand, request).await {
        Ok((form, answer)) => {
            due.set(&answer.head, server.engine.world());
            relay::respond(replier, &form, answer)
        }
        Err(Turned::Away(reject)) => {
            server.log.aside(server.engine.world(), &errand, Aside::Rejected(reject.why()));
            replier.reject(reject)
        }
        Err(Turned::Failed(failure)) => replier.failure(&failure),
    }
}

/// Characters of a user's name kept for the log; the vendors' own limits are 64 to 512.
const USER_CHARS_MAX: usize = 256;

/// Why there is no answer.
enum Turned {
    /// No target was asked.
    Away(Reject),
    /// No target answered.
    Failed(Box<unfail_engine::failure::Failure>),
}

impl<T: Into<Reject>> From<T> for Turned {
    fn from(reject: T) -> Self {
        Self::Away(reject.into())
    }
}

/// parse → identify → route → answer. What becomes known on the way is told to `errand`, for the log.
async fn serve(
    server: &Server,
    dialect: &'static dyn Dialect,
    errand: &mut Errand,
    request: Request,
) -> Result<(Form, unfail_engine::Answer), Turned> {
    let (parts, body) = request.into_parts();
    let wishes = ask::wishes(&parts.headers)?;
    errand.deadline = wishes.deadline;
    errand.user = wishes.user;
    errand.agent = wishes.agent;
    errand.priority = wishes.priority;
    errand.caller = server.engine.identify(ask::key(&parts.headers)).ok_or_else(|| {
        let message = "the key is missing or unknown; send it as `Authorization: Bearer KEY`";
        Reject::new(ProblemKind::Authentication, message).code("invalid_api_key")
    })?;
    errand.via = via::onward(&parts.headers, server.engine.world())?;
    let body = ask::body(server, &parts, body).await?;
    let inbound = Inbound { body: &body, path_model: None, path_stream: false };
    let outline = dialect.outline(inbound)?;
    errand.user = errand.user.take().or_else(|| outline.user.as_deref().map(clipped));
    let named = wishes.route.as_deref().unwrap_or(&outline.model);
    let chain = server.engine.route(&errand.caller, named, &outline.fallbacks);
    let chain = chain.map_err(|unroutable| discreet(server, &errand.caller, unroutable))?;
    let form = Form {
        model: if outline.model.is_empty() { chain.name().to_owned() } else { outline.model.to_string() },
        stream_usage: outline.stream_usage,
        created: server.engine.world().wall().millis() / 1000,
    };
    let open = server.mode == Mode::Developer;
    let ask = Ask::Spoken { dialect, inbound, outline: &outline, open };
    let call = Call { errand: errand.clone(), chain, ask };
    let answer = server.engine.answer(call).await.map_err(Turned::Failed)?;
    Ok((form, answer))
}

/// As much of a user's name as is kept for the log.
fn clipped(user: &str) -> String {
    user.chars().take(USER_CHARS_MAX).collect()
}

/// In product mode, which providers there are and why one is not used is the operator's business, and names that are
/// only near are told where they may be listed.
fn discreet(server: &Server, caller: &Caller, unroutable: Unroutable) -> Unroutable {
    if server.mode == Mode::Developer {
        return unroutable;
    }
    match unroutable {
        Unroutable::Unknown { name, mut near, .. } => {
            let offered = server.offered(caller);
            near.retain(|near| offered.iter().any(|offered| offered.id == *near));
            Unroutable::Unknown { name, near, routes: Vec::new() }
        }
        Unroutable::Unused { name, .. } => Unroutable::Unknown { name, near: Vec::new(), routes: Vec::new() },
        other => other,
    }
}

impl From<Unroutable> for Reject {
    fn from(unroutable: Unroutable) -> Self {
        match unroutable {
            Unroutable::Unknown { .. } | Unroutable::Unused { .. } => {
                Self::new(ProblemKind::NotFound, unroutable.to_string())
                    .code("model_not_found")
                    .param("model")
            }
            Unroutable::TooMany => Self::new(ProblemKind::Invalid, unroutable.to_string()).param("models"),
            Unroutable::NotAllowed { .. } => Self::new(ProblemKind::Permission, unroutable.to_string()),
        }
    }
}
