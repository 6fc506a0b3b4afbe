//! Measures the page checksums on one core: `cargo run --release -p certadm-bench --example checksum_speed`.

use std::hint::black_box;
use std::time::Instant;

use certadm_ese::checksum::{check_page, checksum_page};

fn main() {
    const TOTAL: usize = 64 << 20;
    for size in [4096, 8192, 32_768] {
        for (name, flag) in [("new", 0x20u8), ("legacy", 0)] {
            let mut data = vec![0x5a; TOTAL];
            for page in data.chunks_exact_mut(size) {
                page[37] = flag;
                checksum_page(page, 1);
            }
            let mut best = f64::MAX;
            for _ in 0..5 {
                let start = Instant::now();
                for page in data.chunks_exact(size) {
                    black_box(check_page(black_box(page), 1));
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            #[allow(clippy::cast_precision_loss)]
            let rate = TOTAL as f64 / best / 1e9;
            println!("{size:6} bytes, {name}: {rate:.2} GB/s");
        }
    }
}
