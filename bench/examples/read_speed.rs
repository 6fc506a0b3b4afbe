//! Measures verifying and listing a database: `cargo run --release -p certadm-bench --example read_speed -- FILE`.

use std::hint::black_box;
use std::time::Instant;

use certadm_ese::Database;
use certadm_ese::pager::{FilePager, Pager};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a database")?;
    let database = Database::open(FilePager::new(std::fs::File::open(path)?)?)?;

    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        black_box(database.verify(&mut |_| {})?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    #[allow(clippy::cast_precision_loss)]
    let rate = database.file().size() as f64 / best / 1e9;
    println!("verify: {best:.4} s, {rate:.2} GB/s");

    let start = Instant::now();
    let (mut rows, mut cells) = (0u64, 0u64);
    for definition in database.catalog()?.tables() {
        for row in database.table(&definition.name)?.rows() {
            let row = row?;
            for column in &definition.columns {
                black_box(row.value(column)?);
                cells += 1;
            }
            rows += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("list: {rows} rows, {cells} cells in {seconds:.3} s");
    Ok(())
}
