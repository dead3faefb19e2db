//! What the shell saw, told to policy: the one place where transport, body and format troubles become faults.

use http::HeaderMap;
use unfail_policy::classify::{
    Blame, Class, Close, Fault, Flaw as Flawed, Phase, SameTarget, Signal, classify,
};
use unfail_policy::wait::Headers;
use unfail_wire::driver::StreamFault;
use unfail_wire::error_body::ErrorBody;
use unfail_wire::format::Invalid;

use crate::body::BodyFault;
use crate::reader::ReadFault;
use crate::redact::{mask_name, redact};
use crate::target::Target;
use crate::trouble::Trouble;
use crate::world::World;

/// Judges what one target did.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) target: &'a Target,
    pub(crate) phase: Phase,
    pub(crate) world: World,
}

impl Judge<'_> {
    /// An answer that is an error by its status.
    pub(crate) fn status(&self, status: u16, headers: &HeaderMap, body: &ErrorBody) -> Fault {
        let body = &self.clean(body);
        self.signal(&Signal::Status { status, headers: &HeadersOf(headers), body }, None)
    }

    /// An error inside a success.
    pub(crate) fn in_success(&self, error: &ErrorBody) -> Fault {
        self.signal(&Signal::InStream(&self.clean(error)), None)
    }

    /// A success that cannot be used; `why` says more than the kind of flaw.
    pub(crate) fn flaw(&self, flaw: Flawed, why: Option<&str>) -> Fault {
        self.signal(&Signal::Flaw(flaw), why)
    }

    /// A prompt or answer that was declined.
    pub(crate) fn declined(&self, why: Option<&str>) -> Fault {
        self.signal(&Signal::ContentFiltered, why)
    }

    pub(crate) fn trouble(&self, trouble: &Trouble) -> Fault {
        match trouble {
            Trouble::Fault(transport, detail) => self.signal(&Signal::Transport(*transport), Some(detail)),
            Trouble::Late(limit) => self.signal(&Signal::Timeout(*limit), None),
        }
    }

    pub(crate) fn body(&self, fault: &BodyFault) -> Fault {
        match fault {
            BodyFault::Trouble(trouble) => self.trouble(trouble),
            BodyFault::Flawed(why) => self.flaw(Flawed::Malformed, Some(why)),
            BodyFault::TooLarge => self.flaw(Flawed::TooLarge, None),
        }
    }

    pub(crate) fn read(&self, fault: &ReadFault) -> Fault {
        match fault {
            ReadFault::Body(fault) => self.body(fault),
            ReadFault::Stream(StreamFault::Failed(error)) => self.in_success(error),
            ReadFault::Stream(StreamFault::Corrupt(why)) => self.flaw(Flawed::Malformed, Some(why)),
            ReadFault::Stream(StreamFault::Truncated) => self.flaw(Flawed::Truncated, None),
            ReadFault::Stream(StreamFault::TooLarge) => self.flaw(Flawed::TooLarge, None),
        }
    }

    /// The provider's words without the credential, and without a model name that only the caller vouches for: words
    /// decide what is remembered for everybody, so no caller may choose them.
    fn clean(&self, body: &ErrorBody) -> ErrorBody {
        let secrets = self.target.secrets();
        // The key goes first: a made-up name that is part of it would hide the rest from the search.
        let own = |text: &str| match self.target.unlisted() {
            Some(model) => mask_name(&redact(text, &secrets), model),
            None => redact(text, &secrets),
        };
        ErrorBody {
            message: own(&body.message),
            codes: body.codes.iter().map(|code| own(code)).collect(),
            param: body.param.as_deref().map(own),
            ..body.clone()
        }
    }

    /// Classifies, adds the detail, and keeps the credential out of whatever the provider said.
    fn signal(&self, signal: &Signal<'_>, detail: Option<&str>) -> Fault {
        let mut fault = classify(signal, self.target.error_quirk(), self.phase, self.world.wall());
        if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
            fault.message = format!("{}: {detail}", fault.message);
            if let Signal::Transport(_) = signal {
                fault.gist = fault.message.as_str().into();
            }
        }
        let secrets = self.target.secrets();
        fault.message = redact(&fault.message, &secrets);
        fault.gist = redact(&fault.gist, &secrets).into();
        fault
    }
}

/// A request that cannot be read: the caller's fault, whichever target it was for.
pub(crate) fn invalid(invalid: Invalid) -> Fault {
    Fault {
        class: Class::ClientBug,
        close: Close::Nothing,
        wait: None,
        same_target: SameTarget::Never,
        blame: Blame::Request,
        status: None,
        message: invalid.message,
        gist: "the request cannot be read".into(),
        late: None,
        code: None,
        param: invalid.param.map(Into::into),
    }
}

/// Response headers as policy reads them.
struct HeadersOf<'a>(&'a HeaderMap);

impl Headers for HeadersOf<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }
}
