//! Server-sent events, split by the rules of the standard and no others: an independent check of what `wire` reads.

/// One event or comment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `event:` field; empty when absent.
    pub name: String,
    /// The `data:` lines joined by newlines.
    pub data: String,
    /// The comment lines joined by newlines.
    pub comment: String,
}

/// Takes the complete events off the front of a text; lines may end in LF or CRLF.
pub fn take(text: &mut String) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((block, rest)) = first_block(text) {
        let event = event(block);
        let rest = rest.to_owned();
        events.extend(event);
        *text = rest;
    }
    events
}

/// All events of a complete text; an event without its empty line at the end is not one.
#[must_use]
pub fn events(text: &str) -> Vec<Event> {
    take(&mut text.to_owned())
}

fn first_block(text: &str) -> Option<(&str, &str)> {
    let ends = ["\n\n", "\r\n\r\n"].into_iter().filter_map(|end| text.find(end).map(|at| (at, end)));
    let (_, end) = ends.min()?;
    text.split_once(end)
}

fn event(block: &str) -> Option<Event> {
    let (mut names, mut data, mut comments) = (Vec::new(), Vec::new(), Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {}
            "" => comments.push(value),
            "event" => names.push(value),
            "data" => data.push(value),
            _ => {}
        }
    }
    let name = names.last().copied().unwrap_or_default().to_owned();
    let event = Event { name, data: data.join("\n"), comment: comments.join("\n") };
    (event != Event::default()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_split_by_empty_lines() {
        let named = |name: &str, data: &str| Event {
            name: name.to_owned(),
            data: data.to_owned(),
            ..Event::default()
        };
        for (text, wanted) in [
            ("data: a\n\ndata: b\n\n", vec![named("", "a"), named("", "b")]),
            ("event: x\r\ndata:a\r\n\r\ndata: b", vec![named("x", "a")]),
            ("data: a\ndata:  b\n\n", vec![named("", "a\n b")]),
            (
                ": hi\n\n\n\ndata: [DONE]\n\n",
                vec![Event { comment: "hi".to_owned(), ..Event::default() }, named("", "[DONE]")],
            ),
        ] {
            assert_eq!(events(text), wanted, "{text:?}");
        }
    }
}
