//! The first message of a worker.

use std::borrow::Cow;

use super::{Capabilities, InvalidRegistration, WorkerId, json::Kind, text};

/// A registration as it came in: raw JSON text of the parts that matter,
/// nothing checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationRequest<'a> {
    pub(super) worker_id: Option<&'a str>,
    pub(super) worker_name: Option<&'a str>,
    pub(super) capabilities: Option<&'a str>,
    pub(super) auth_token: Option<&'a str>,
}

/// How large the parts of a registration may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationLimits {
    /// Models per worker. Default 10,000.
    pub max_models: usize,
    /// Bytes of UTF-8 of an id that is a string. Default 1 KiB.
    pub max_id_bytes: usize,
    /// Bytes of UTF-8 of the name. Default 1 KiB.
    pub max_name_bytes: usize,
    /// Levels of arrays and objects in the capabilities, themselves included.
    /// Default 128.
    pub max_depth: usize,
}

/// A registration that may enter the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Who the worker is.
    pub worker_id: WorkerId,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl RegistrationRequest<'_> {
    /// Checks everything the pool depends on.
    ///
    /// A name that is missing or no string is accepted, and so is a missing
    /// `maxConcurrentRequests`: such a worker is merely never selected.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in the order id, name, capabilities.
    pub fn validate(
        &self,
        limits: &RegistrationLimits,
    ) -> Result<Registration, InvalidRegistration> {
        check_length("workerId", self.worker_id, limits.max_id_bytes)?;
        let token = self.token();
        let token = token.as_deref();
        let worker_id = self.worker_id.and_then(WorkerId::from_valid).ok_or_else(|| {
            let expected = "a string, a number or a boolean";
            InvalidRegistration::wrong_value("workerId", expected, self.worker_id, token)
        })?;
        check_length("workerName", self.worker_name, limits.max_name_bytes)?;
        let capabilities = Capabilities::validated(self.capabilities, limits, token)?;
        Ok(Registration { worker_id, capabilities })
    }

    /// The token presented: `""` if it is absent or null, `None` if it is no
    /// string and so can match no token. Lone surrogates become U+FFFD, as in
    /// the UTF-8 that JavaScript would compare.
    pub fn token(&self) -> Option<Cow<'_, str>> {
        let Some(raw) = self.auth_token else {
            return Some(Cow::Borrowed(""));
        };
        match Kind::of(raw) {
            Kind::Null => Some(Cow::Borrowed("")),
            Kind::String => Some(text::decode(raw)),
            _ => None,
        }
    }

    /// The raw JSON text of the id, for the log; `None` if the key is absent.
    pub fn worker_id_json(&self) -> Option<&str> {
        self.worker_id
    }

    /// The raw JSON text of the name; `None` if the key is absent.
    pub fn worker_name_json(&self) -> Option<&str> {
        self.worker_name
    }

    /// The raw JSON text of the capabilities; `None` if the key is absent.
    pub fn capabilities_json(&self) -> Option<&str> {
        self.capabilities
    }

    /// What an application gets to see of a session, as the JSON text of an object: `sessionId`
    /// (which must need no escapes), `id`, `capabilities` and, if there is one, `name`. The token and
    /// whatever else was said stay out.
    pub fn visible_json(&self, session_id: &str) -> String {
        let id = self.worker_id.unwrap_or("null");
        let capabilities = self.capabilities.unwrap_or("null");
        let (comma, name) = self.worker_name.map_or(("", ""), |name| (",\"name\":", name));
        format!(
            r#"{{"sessionId":"{session_id}","id":{id},"capabilities":{capabilities}{comma}{name}}}"#
        )
    }
}

impl Default for RegistrationLimits {
    fn default() -> Self {
        Self { max_models: 10_000, max_id_bytes: 1024, max_name_bytes: 1024, max_depth: 128 }
    }
}

/// Checks that `raw` is no string of more than `limit` bytes.
fn check_length(
    field: &'static str,
    raw: Option<&str>,
    limit: usize,
) -> Result<(), InvalidRegistration> {
    let Some(raw) = raw.filter(|raw| Kind::of(raw) == Kind::String) else { return Ok(()) };
    match text::decoded_len(raw) {
        len if len > limit => {
            Err(InvalidRegistration::beyond(field, limit, "bytes", format!("{len} bytes")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Inbound, classify},
        *,
    };

    /// The registration, or what is wrong with it.
    fn validate(members: &str) -> Result<Registration, String> {
        with_request(members, |request| {
            request.validate(&RegistrationLimits::default()).map_err(|error| error.to_string())
        })
    }

    fn with_request<T>(members: &str, use_it: impl FnOnce(RegistrationRequest<'_>) -> T) -> T {
        let text = format!("{{\"type\":\"worker_registration\"{members}}}");
        match classify(&text) {
            Inbound::Registration(request) => use_it(request),
            other => panic!("{other:?}"),
        }
    }

    fn with_capabilities(json: &str) -> Result<Registration, String> {
        validate(&format!(",\"workerId\":\"w\",\"capabilities\":{json}"))
    }

    #[test]
    fn a_usual_registration() {
        let registration = validate(
            r#","workerId":"w","workerName":"W","capabilities":{"models":[{"modelId":"m"}],"maxConcurrentRequests":2}"#,
        )
        .unwrap();
        assert_eq!(registration.worker_id, WorkerId::from_text("w"));
        assert_eq!(registration.capabilities.models, ["m"]);
        assert_eq!(registration.capabilities.max_concurrent_requests, 2.0);
    }

    #[test]
    fn an_application_sees_id_capabilities_and_name() {
        let visible = |members: &str| with_request(members, |request| request.visible_json("s"));
        let rest = r#","authToken":"secret","more":1"#;
        let capabilities = r#","capabilities":{ "models": [] }"#;
        assert_eq!(
            visible(&format!(r#","workerName":null,"workerId": "w" {capabilities}{rest}"#)),
            r#"{"sessionId":"s","id":"w","capabilities":{ "models": [] },"name":null}"#
        );
        assert_eq!(
            visible(&format!(r#","workerId":1,"workerId":2{capabilities}{rest}"#)),
            r#"{"sessionId":"s","id":2,"capabilities":{ "models": [] }}"#
        );
    }

    #[test]
    fn ids() {
        let rest = r#","capabilities":{"models":[]}"#;
        for (bad, got) in [
            ("", "nothing"),
            (r#","workerId":null"#, "null"),
            (r#","workerId":{}"#, "an object"),
            (r#","workerId":["w"]"#, "an array"),
        ] {
            let error = format!("workerId: expected a string, a number or a boolean, got {got}");
            assert_eq!(validate(&format!("{bad}{rest}")), Err(error));
        }
        for good in ["5", "true", "\"\"", r#""\ud800""#] {
            assert!(validate(&format!(",\"workerId\":{good}{rest}")).is_ok(), "{good}");
        }
        let fits = "x".repeat(1024);
        assert!(validate(&format!(",\"workerId\":\"{fits}\"{rest}")).is_ok());
        assert_eq!(
            validate(&format!(",\"workerId\":\"{fits}y\"{rest}")),
            Err("workerId: expected at most 1024 bytes, got 1025 bytes".to_owned())
        );
        let escaped = "\\u0041".repeat(1024);
        assert!(validate(&format!(",\"workerId\":\"{escaped}\"{rest}")).is_ok());
    }

    #[test]
    fn names() {
        let rest = r#","workerId":1,"capabilities":{"models":[]}"#;
        for good in ["null", "7", "[]", "\"n\""] {
            assert!(validate(&format!(",\"workerName\":{good}{rest}")).is_ok(), "{good}");
        }
        assert_eq!(
            validate(&format!(",\"workerName\":\"{}\"{rest}", "é".repeat(513))),
            Err("workerName: expected at most 1024 bytes, got 1026 bytes".to_owned())
        );
    }

    #[test]
    fn capabilities_must_be_an_object() {
        let problem = |got: &str| Err(format!("capabilities: expected an object, got {got}"));
        assert_eq!(validate(",\"workerId\":1"), problem("nothing"));
        assert_eq!(with_capabilities("[]"), problem("an array"));
        for bad in ["null", "5", "\"x\"", "true"] {
            assert_eq!(with_capabilities(bad), problem(bad));
        }
        let secret = validate(r#","workerId":1,"authToken":"secret","capabilities":"secret""#);
        assert_eq!(secret, problem("a string"));
    }

    #[test]
    fn models() {
        for (bad, got) in [
            ("{}", "nothing"),
            (r#"{"models":null}"#, "null"),
            (r#"{"models":{}}"#, "an object"),
            (r#"{"models":[],"models":5}"#, "5"),
        ] {
            let error = format!("capabilities.models: expected an array, got {got}");
            assert_eq!(with_capabilities(bad), Err(error));
        }
        for (bad, error) in [
            ("null", "models[1]: expected an object, got null"),
            ("5", "models[1]: expected an object, got 5"),
            ("\"m\"", "models[1]: expected an object, got \"m\""),
            ("[]", "models[1]: expected an object, got an array"),
            ("{}", "models[1].modelId: expected a string, got nothing"),
            (r#"{"modelId":5}"#, "models[1].modelId: expected a string, got 5"),
            (r#"{"modelId":"a","modelId":null}"#, "models[1].modelId: expected a string, got null"),
        ] {
            let json = format!("{{\"models\":[{{\"modelId\":\"a\"}},{bad}]}}");
            assert_eq!(with_capabilities(&json), Err(format!("capabilities.{error}")));
        }
        let many = |count: usize| {
            let models = vec![r#"{"modelId":"m"}"#; count].join(",");
            with_capabilities(&format!("{{\"models\":[{models}]}}"))
        };
        assert!(many(10_000).is_ok());
        let error = "capabilities.models: expected at most 10000 models, got more";
        assert_eq!(many(10_001), Err(error.to_owned()));
    }

    #[test]
    fn maximum() {
        for (bad, got) in [
            ("null", "null"),
            ("-1", "-1"),
            ("1e999", "Infinity"),
            ("\"many\"", "\"many\""),
            ("true", "true"),
            ("[]", "an array"),
            ("-0.1", "-0.1"),
        ] {
            let json = format!("{{\"models\":[],\"maxConcurrentRequests\":{bad}}}");
            let error =
                format!("capabilities.maxConcurrentRequests: expected a number >= 0, got {got}");
            assert_eq!(with_capabilities(&json), Err(error));
        }
        for good in ["0", "-0", "0.5", "1e3"] {
            let json = format!("{{\"models\":[],\"maxConcurrentRequests\":{good}}}");
            assert!(with_capabilities(&json).is_ok(), "{good}");
        }
        let missing = with_capabilities(r#"{"models":[]}"#).unwrap();
        assert!(missing.capabilities.max_concurrent_requests.is_nan());
    }

    #[test]
    fn depth() {
        let nested = |levels: usize| {
            let value = "[".repeat(levels) + &"]".repeat(levels);
            with_capabilities(&format!("{{\"models\":[],\"metadata\":{value}}}"))
        };
        assert!(nested(127).is_ok());
        let error = "capabilities: expected at most 128 levels of nesting, got more";
        assert_eq!(nested(128), Err(error.to_owned()));
        assert_eq!(nested(500_000), Err(error.to_owned()));
    }

    #[test]
    fn tokens() {
        let token = |members: &str| {
            with_request(members, |request| request.token().map(|token| token.into_owned()))
        };
        assert_eq!(token("").as_deref(), Some(""));
        assert_eq!(token(",\"authToken\":null").as_deref(), Some(""));
        assert_eq!(token(",\"authToken\":\"s\\u0065cret\"").as_deref(), Some("secret"));
        assert_eq!(token(",\"authToken\":\"\\ud800\"").as_deref(), Some("\u{fffd}"));
        for other in ["5", "false", "{}", "[\"secret\"]"] {
            assert_eq!(token(&format!(",\"authToken\":{other}")), None, "{other}");
        }
    }
}
