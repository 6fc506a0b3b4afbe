//! Medians, ratios, and the table.

use crate::process::Measured;

/// The runs of one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    seconds: Vec<f64>,
    processor: Vec<f64>,
    peak_kib: u64,
}

impl Samples {
    pub(crate) fn add(&mut self, measured: Measured) {
        self.seconds.push(measured.seconds);
        self.processor.push(measured.processor);
        self.peak_kib = self.peak_kib.max(measured.peak_kib);
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// Median of the seconds of processor time.
    pub(crate) fn processor(&self) -> f64 {
        median(&self.processor)
    }

    #[expect(clippy::cast_precision_loss, reason = "mebibytes of memory fit")]
    pub(crate) fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }

    /// Median of the distances from the median.
    fn spread(&self) -> f64 {
        let middle = self.median();
        median(&self.seconds.iter().map(|second| (second - middle).abs()).collect::<Vec<_>>())
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    ours: String,
    peer: String,
    value: f64,
    goal: &'static str,
}

impl Row {
    /// Theirs over ours: above 1, certadm is faster.
    pub(crate) fn ratio(name: &str, ours: &Samples, peer_name: &str, peer: &Samples) -> Self {
        Self {
            name: name.to_owned(),
            ours: format!("{:.3} s ±{:.3}", ours.median(), ours.spread()),
            peer: format!("{peer_name}: {:.3} s ±{:.3}", peer.median(), peer.spread()),
            value: peer.median() / ours.median(),
            goal: "",
        }
    }

    pub(crate) fn plain(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), ours: String::new(), peer: String::new(), value, goal: "" }
    }

    pub(crate) fn goal(self, goal: &'static str) -> Self {
        Self { goal, ..self }
    }
}

/// Prints the table as Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!("\n| benchmark | certadm | peer | value | goal |\n|---|---|---|---|---|");
    for row in rows {
        // A side that is not there has no value.
        let value = if row.value.is_nan() { "-".to_owned() } else { format!("{:.2}", row.value) };
        println!("| {} | {} | {} | {value} | {} |", row.name, row.ours, row.peer, row.goal);
    }
}
