//! Reads the error bodies of the fixtures into the facts the policy works on.

use serde_json::Value;
use unfail_wire::error_body::ErrorBody;

/// The facts of `value`, as far as the fixtures need them.
pub(crate) fn read(value: &Value) -> ErrorBody {
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let top = value.get("response").unwrap_or(value);
    let error = top.get("error").filter(|error| error.is_object()).unwrap_or(top);
    let details: Vec<&Value> = match error.get("details") {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(object) => vec![object],
        None => Vec::new(),
    };
    let metadata = &error["metadata"];
    let code_places = details
        .iter()
        .flat_map(|detail| [&detail["error_code"], &detail["reason"]])
        .chain([&metadata["error_type"], &top["error_type"]])
        .chain([&error["innererror"]["code"], &error["code"], &error["type"], &error["status"]]);
    let words =
        [&error["message"], &top["error"], &top["message"], &top["detail"], &top["detail"][0]["msg"], value];
    let status = [&top["status_code"], &error["code"]];
    let wait = details.iter().map(|detail| &detail["retryDelay"]).chain([&metadata["resets_at"]]);
    ErrorBody {
        message: words.into_iter().find_map(text).unwrap_or_default(),
        codes: code_places.filter_map(text).collect(),
        param: text(&error["param"]).or_else(|| text(&top["detail"][0]["loc"][1])),
        status: status.into_iter().find_map(Value::as_u64).and_then(|status| u16::try_from(status).ok()),
        quotas: details
            .iter()
            .filter_map(|detail| detail["violations"].as_array())
            .flatten()
            .filter_map(|violation| text(&violation["quotaId"]))
            .collect(),
        wait: wait.into_iter().find_map(text),
        flagged: metadata["reasons"].is_array(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
