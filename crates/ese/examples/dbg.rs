//! debug
use certadm_ese::Database;
fn main() {
    let b = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let d = Database::open(b).unwrap();
    println!("{:?} {:?}", d.header().format_version(), d.page_size());
    for t in d.catalog().unwrap().tables() {
        println!("{} {:?} chunk {}", t.name, t.long_values, t.chunk_size);
        if let Some(r) = t.long_values {
            for p in d.tree(r).pages().unwrap() {
                let pg = d.page(p).unwrap();
                println!(
                    " page {p} flags {:x} prefix {:02x?} prev {} next {}",
                    pg.flags(),
                    pg.prefix(),
                    pg.previous(),
                    pg.next()
                );
                for n in pg.nodes() {
                    println!(
                        "    {} {:02x?} {} {:02x?}",
                        n.flags,
                        n.key(),
                        n.data.len(),
                        &n.data[..n.data.len().min(12)]
                    );
                }
            }
        }
    }
}
