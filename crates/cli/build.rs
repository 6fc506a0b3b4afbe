//! Compiles what tells glibc how to manage the memory of the command ([`src/memory.c`](src/memory.c)). Other systems need none.

fn main() {
    const SOURCE: &str = "src/memory.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // Nothing calls it, so that a linker would leave it out.
        cc::Build::new().file(SOURCE).link_lib_modifier("+whole-archive").compile("certadm_memory");
    }
}
