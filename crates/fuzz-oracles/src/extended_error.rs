//! Extended error data beside faults and refused binds (wire.md 2.6, MS-EERR 2.2).

use certadm_wire::rpc::{ErrorParameter, ErrorRecord};

/// The bounds of the reader: records, parameters of one, elements of a text or block.
const MOST: (usize, usize, usize) = (16, 64, 4096);

pub(crate) fn run(data: &[u8]) {
    let Ok(records) = ErrorRecord::read_all(data) else {
        return;
    };
    let (most_records, most_parameters, most_elements) = MOST;
    assert!(records.len() <= most_records);
    for record in &records {
        assert!(record.parameters.len() <= most_parameters);
        let texts = record.computer.iter().map(String::as_str);
        let texts = texts.chain(record.parameters.iter().filter_map(|parameter| match parameter {
            ErrorParameter::Text(text) => Some(text.as_str()),
            _ => None,
        }));
        for text in texts {
            assert!(text.chars().count() <= most_elements && !text.contains('\0'));
        }
        for parameter in &record.parameters {
            assert!(!matches!(parameter, ErrorParameter::Block(block) if most_elements < block.len()));
        }
        assert!(record.codes().all(|code| code != 0));
        assert!(record.codes().count() <= 1 + record.parameters.len());
    }
}
