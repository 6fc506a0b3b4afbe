//! Events as XML: what `wevtutil qe Security /f:xml` prints, with a root element or without, and what collectors export.

use std::io::BufRead;

use certadm_files::cancel;
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::event::{Fields, moment};
use super::text::Bounded;
use crate::error::{Error, Result};

/// The longest tag, text or comment.
const LONGEST_PART: usize = 1 << 20;
/// Elements within each other. Events have five.
const DEEPEST: usize = 32;
/// The texts of one event together, and how many there are.
const LARGEST_EVENT: usize = 1 << 20;
const MOST_FIELDS: usize = 256;

/// Reads events and hands each to `visit`; returns whether it is a log by its root, which a log without events has, too. Nothing that the text refers to is fetched, and no entity is expanded but the
/// five of XML and numbers of characters.
///
/// # Errors
/// [`Error::Source`] when it is no well-formed XML or a part of it is too long; what `visit` returns.
pub(crate) fn read(
    name: &str,
    text: impl BufRead,
    visit: &mut dyn FnMut(Fields) -> Result<()>,
) -> Result<bool> {
    let broken = |reason: String| Error::Source { name: name.to_owned(), reason };
    let mut reader = Reader::from_reader(Bounded::new(text));
    reader.config_mut().expand_empty_elements = true;
    let mut part = Vec::new();
    let mut open = Open::default();
    loop {
        part.clear();
        reader.get_mut().allow(LONGEST_PART);
        let place = reader.buffer_position();
        let event = reader
            .read_event_into(&mut part)
            .map_err(|error| broken(format!("it is no XML of events at byte {place}: {error}")))?;
        match event {
            Event::Start(start) => open.start(&start).map_err(broken)?,
            Event::End(_) => {
                if let Some(fields) = open.end() {
                    cancel::check()?;
                    visit(fields)?;
                }
            }
            Event::Text(text) => open.text(&text.xml10_content()).map_err(broken)?,
            Event::CData(text) => open.text(&text.xml10_content()).map_err(broken)?,
            Event::GeneralRef(reference) => {
                let letter = reference.resolve_char_ref().map_err(|error| broken(error.to_string()))?;
                let name = reference.into_inner();
                match (letter, resolve_predefined_entity(&name)) {
                    (Some(letter), _) => open.text(letter.encode_utf8(&mut [0; 4])).map_err(broken)?,
                    (None, Some(text)) => open.text(text).map_err(broken)?,
                    (None, None) => {
                        return Err(broken(format!("it has the entity {name:?}, which no event log has")));
                    }
                }
            }
            Event::DocType(_) => {
                return Err(broken("it has a document type, which no event log has".to_owned()));
            }
            Event::Eof => {
                return if open.depth == 0 {
                    Ok(open.is_log)
                } else {
                    Err(broken("it ends within an event".to_owned()))
                };
            }
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// What is open while the text is read.
#[derive(Default)]
struct Open {
    depth: usize,
    /// Whether the outermost element is that of a log, or an event.
    is_log: bool,
    /// At which depth the event began.
    event: Option<usize>,
    fields: Fields,
    /// Which field the text at this depth belongs to.
    at: Option<(usize, Field)>,
    text: String,
    taken: usize,
}

enum Field {
    Id,
    Computer,
    Data(String),
}

impl Open {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        self.depth += 1;
        if DEEPEST < self.depth {
            return Err("its elements stand too deep within each other".to_owned());
        }
        let local = start.local_name();
        let local: &str = local.as_ref();
        self.is_log |= self.depth == 1 && matches!(local, "Events" | "Event");
        let Some(event) = self.event else {
            if local == "Event" {
                self.event = Some(self.depth);
                (self.fields, self.taken) = (Fields::default(), 0);
            }
            return Ok(());
        };
        if self.depth <= event + 1 {
            return Ok(());
        }
        let field = match local {
            "EventID" => Field::Id,
            "Computer" => Field::Computer,
            "Data" => Field::Data(self.attribute(start, "Name")?),
            "TimeCreated" => {
                self.fields.when = moment(&self.attribute(start, "SystemTime")?);
                return Ok(());
            }
            "Provider" => {
                self.fields.provider = self.attribute(start, "Name")?;
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.text.clear();
        self.at = Some((self.depth, field));
        Ok(())
    }

    fn attribute(&mut self, start: &BytesStart<'_>, name: &str) -> Result<String, String> {
        let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
        let Some(found) = found else { return Ok(String::new()) };
        let value = found.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        self.take(value.len())?;
        Ok(value.into_owned())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        if self.at.is_some() {
            self.take(text.len())?;
            self.text.push_str(text);
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.taken += bytes;
        if LARGEST_EVENT < self.taken {
            Err("an event is longer than any should be".to_owned())
        } else {
            Ok(())
        }
    }

    /// The event, when it is the one that ends.
    fn end(&mut self) -> Option<Fields> {
        let depth = self.depth;
        self.depth = self.depth.saturating_sub(1);
        if let Some((_, field)) = self.at.take_if(|(at, _)| *at == depth) {
            let text = std::mem::take(&mut self.text);
            match field {
                Field::Id => self.fields.id = text.trim().parse().unwrap_or_default(),
                Field::Computer => self.fields.computer = text.trim().to_owned(),
                Field::Data(name) if self.fields.data.len() < MOST_FIELDS => {
                    self.fields.data.push((name, text));
                }
                Field::Data(_) => {}
            }
        }
        if self.event != Some(depth) {
            return None;
        }
        self.event = None;
        Some(std::mem::take(&mut self.fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<Vec<Fields>> {
        let mut found = Vec::new();
        read("events.xml", text.as_bytes(), &mut |fields| {
            found.push(fields);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn events_are_read_with_a_root_and_without() {
        let one = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
            <Provider Name='Microsoft-Windows-Security-Auditing'/><EventID Qualifiers='0'>4887</EventID>\
            <TimeCreated SystemTime='2025-09-30T11:07:22.1Z'/><Computer>ca1.example</Computer></System>\
            <EventData><Data Name='RequestId'>11</Data><Data Name='Subject'>CN=A &amp; B&#x21;<![CDATA[<x>]]></Data>\
            <Data Name='Requester'/></EventData></Event>";
        for text in [
            format!("{one}{one}"),
            format!("<?xml version='1.0'?><e:Events xmlns:e='x'>\n{one} - {one}</e:Events>"),
        ] {
            let found = events(&text).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].id, found[0].computer.as_str()), (4887, "ca1.example"));
            assert_eq!(found[0].when.unwrap().to_rfc3339(), "2025-09-30T11:07:22Z");
            let data: Vec<_> =
                found[0].data.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(data, [("RequestId", "11"), ("Subject", "CN=A & B!<x>"), ("Requester", "")]);
            assert_eq!(found[0], found[1]);
        }
        assert!(events("").unwrap().is_empty());
        assert!(events("<Other/>").unwrap().is_empty());
    }

    #[test]
    fn what_could_be_used_against_the_reader_is_refused() {
        let deep = "<a>".repeat(100);
        let long = format!(
            "<Event><EventData><Data Name='x'>{}</Data></EventData></Event>",
            "y".repeat(LARGEST_EVENT + 1)
        );
        let pieces =
            format!("<Event><EventData>{}</EventData></Event>", "<Data>12345678</Data>".repeat(200_000));
        for text in [
            "<!DOCTYPE x [<!ENTITY a 'b'>]><Event/>",
            "<Event><EventData><Data>&a;</Data></EventData></Event>",
            "<Event><EventData><Data Name='&a;'/></EventData></Event>",
            "<Event><System>",
            "<Event></System>",
            "<Event",
            deep.as_str(),
            long.as_str(),
            pieces.as_str(),
        ] {
            let error = events(text).unwrap_err();
            assert!(matches!(error, Error::Source { .. }), "{error}");
        }
    }
}
