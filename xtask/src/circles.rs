//! Files that import each other: a crate has none, so that each of its files can be read after those that it uses.
//!
//! What a file uses is every path that leads to another file of its crate, in imports and in the code, tests left out.
//! A re-export is a sign, not a use: a path that comes by it leads on to the file that defines the name.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Workspace};

/// Looks for circles in every crate of the workspace.
///
/// # Errors
/// When there are any; each is named with what its files use of each other.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let root = workspace.path("");
    let mut crates: BTreeMap<String, Sources> = BTreeMap::new();
    for file in workspace::files_below(&root, &["rs"])? {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string().replace('\\', "/");
        let Some((folder, path)) = name.split_once("/src/") else { continue };
        let text = std::fs::read_to_string(&file).context(format_args!("cannot read {name}"))?;
        let parsed = syn::parse_file(&text).context(format_args!("cannot parse {name}"))?;
        crates.entry(folder.to_owned()).or_default().insert(module_of(path), parsed);
    }
    let mut objections = Vec::new();
    for (folder, sources) in &crates {
        objections.extend(sources.circles().iter().map(|circle| format!("{folder}: {circle}")));
    }
    if objections.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("files that import each other:\n{}", objections.join("\n"))))
}

/// Where a file is in its crate: `["ntlm", "session"]`; nothing for the root.
type Module = Vec<String>;

/// The module of a file below `src`. A program in `src/bin` is a module that no other uses.
fn module_of(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = parts.len() == 1 && matches!(parts[0].as_str(), "lib" | "main");
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The files of one crate.
#[derive(Default)]
struct Sources(BTreeMap<Module, syn::File>);

impl Sources {
    fn insert(&mut self, module: Module, file: syn::File) {
        self.0.insert(module, file);
    }

    /// The groups of files each of which leads to all others, each as a line.
    fn circles(&self) -> Vec<String> {
        let uses: BTreeMap<&Module, BTreeSet<Module>> =
            self.0.keys().map(|module| (module, self.used_by(module))).collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            uses.keys().map(|module| (*module, reached_from(module, &uses))).collect();
        let mut circles = Vec::new();
        let mut done: BTreeSet<&Module> = BTreeSet::new();
        for (module, others) in &reached {
            if !others.contains(*module) || done.contains(*module) {
                continue;
            }
            let circle: BTreeSet<&Module> =
                others.iter().copied().filter(|other| reached[other].contains(*module)).collect();
            let arrows = circle.iter().map(|module| {
                let used: Vec<String> =
                    uses[module].iter().filter(|used| circle.contains(used)).map(name_of).collect();
                format!("{} uses {}", name_of(module), used.join(", "))
            });
            circles.push(arrows.collect::<Vec<_>>().join("; "));
            done.extend(&circle);
        }
        circles
    }

    /// The other files that a file uses.
    fn used_by(&self, module: &Module) -> BTreeSet<Module> {
        let mut paths = Paths { within: Vec::new(), found: Vec::new() };
        if let Some(file) = self.0.get(module) {
            paths.visit_file(file);
        }
        let mut used: BTreeSet<Module> = paths
            .found
            .into_iter()
            .filter(|path| !path.re_exports)
            .filter_map(|path| self.file_of(module, &path.within, &path.names))
            .collect();
        used.remove(module);
        used
    }

    /// The file that a path of a file leads to, if it is one of this crate.
    fn file_of(&self, from: &Module, within: &[String], names: &[String]) -> Option<Module> {
        let inside: Module = from.iter().chain(within).cloned().collect();
        let mut names = names;
        let mut base = match names.first()?.as_str() {
            "crate" => Module::new(),
            "self" | "super" => inside,
            child => {
                // A path without them leads to this crate when it begins with a module that is declared here.
                let is_child = within.is_empty() && self.0.contains_key(&joined(from, child));
                return if is_child { self.resolve(from.clone(), names) } else { None };
            }
        };
        while let Some((first, rest)) = names.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            names = rest;
        }
        // Modules within a file belong to it.
        while !self.0.contains_key(&base) {
            base.pop()?;
        }
        self.resolve(base, names)
    }

    /// Goes from a file along `names` as far as there are files, and on through what they re-export.
    fn resolve(&self, mut file: Module, names: &[String]) -> Option<Module> {
        let mut names = names;
        while let Some((first, rest)) = names.split_first() {
            let child = joined(&file, first);
            if self.0.contains_key(&child) {
                file = child;
                names = rest;
            } else {
                return match self.re_exported(&file, first) {
                    Some(path) => self.file_of(&file, &[], &path),
                    None => Some(file),
                };
            }
        }
        Some(file)
    }

    /// The path under which a file re-exports a name.
    fn re_exported(&self, file: &Module, name: &str) -> Option<Vec<String>> {
        self.0.get(file)?.items.iter().find_map(|item| match item {
            Item::Use(import) if !matches!(import.vis, Visibility::Inherited) => {
                let mut leaves = Vec::new();
                leaves_of(&import.tree, &mut Vec::new(), &mut leaves);
                leaves.into_iter().find(|leaf| leaf.name == name).map(|leaf| leaf.path)
            }
            _ => None,
        })
    }
}

fn joined(module: &Module, child: &str) -> Module {
    let mut path = module.clone();
    path.push(child.to_owned());
    path
}

fn name_of(module: &Module) -> String {
    if module.is_empty() { "the root".to_owned() } else { module.join("/") }
}

fn reached_from<'a>(from: &'a Module, uses: &'a BTreeMap<&Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if reached.insert(used) {
                next.push(used);
            }
        }
    }
    reached
}

/// The paths of a file, and in which of its inner modules each stands.
struct Paths {
    within: Vec<String>,
    found: Vec<Found>,
}

struct Found {
    within: Vec<String>,
    names: Vec<String>,
    re_exports: bool,
}

impl Paths {
    fn found(&mut self, names: Vec<String>, re_exports: bool) {
        self.found.push(Found { within: self.within.clone(), names, re_exports });
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        let is_test = attributes.iter().any(|attribute| {
            let words = match &attribute.meta {
                syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
                _ => return false,
            };
            words == "test" || words.starts_with("all (test") || words.starts_with("all(test")
        });
        if !is_test {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.within.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.within.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut leaves = Vec::new();
        leaves_of(&item.tree, &mut Vec::new(), &mut leaves);
        let re_exports = !matches!(item.vis, Visibility::Inherited);
        for leaf in leaves {
            self.found(leaf.path, re_exports);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.found(path.segments.iter().map(|segment| segment.ident.to_string()).collect(), false);
        }
        visit::visit_path(self, path);
    }

    /// What a macro is given may be no Rust, so that only paths from `crate` or `super` are looked for.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string().replace("::", " :: ");
        let words: Vec<&str> = tokens.split_whitespace().collect();
        for (place, _) in words.iter().enumerate().filter(|(_, word)| matches!(**word, "crate" | "super")) {
            let names = words[place..].chunks(2).take_while(|pair| pair.get(1) == Some(&"::")).count();
            let path = words[place..].iter().step_by(2).take(names + 1).map(|&word| word.to_owned());
            self.found(path.collect(), false);
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// One name that an import brings in.
struct Leaf {
    path: Vec<String>,
    /// Under which name.
    name: String,
}

fn leaves_of(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    let mut leaf = |last: Option<&syn::Ident>, name: String| {
        let path = before.iter().cloned().chain(last.map(ToString::to_string)).collect();
        leaves.push(Leaf { path, name });
    };
    match tree {
        UseTree::Name(name) if name.ident == "self" => {
            let last = before.last().cloned().unwrap_or_default();
            leaf(None, last);
        }
        UseTree::Name(name) => leaf(Some(&name.ident), name.ident.to_string()),
        UseTree::Rename(rename) => leaf(Some(&rename.ident), rename.rename.to_string()),
        UseTree::Glob(_) => leaf(None, String::new()),
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves_of(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves_of(tree, before, leaves);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let mut sources = Sources::default();
        for (path, text) in files {
            sources.insert(module_of(path), syn::parse_str(text).unwrap());
        }
        sources.circles()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "fn f() -> super::a::A { todo!() }"),
            ("c.rs", "use crate::{a, b::B};"),
        ]);
        assert_eq!(found, ["a uses b; b uses a"]);
    }

    #[test]
    fn a_long_way_round_is_a_circle_too() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "fn f() { log!(crate::c::X) }"),
            ("c/mod.rs", "mod inner; fn f() { inner::g() }"),
            ("c/inner.rs", "mod system { use super::super::super::a::A; }"),
        ]);
        assert_eq!(found, ["a uses b; b uses c; c uses c/inner; c/inner uses a"]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines() {
        let files = |of_b: &'static str| {
            circles(&[
                ("lib.rs", "mod a; mod b; pub use a::A; pub use b::{B as C, D};"),
                ("a.rs", "use crate::C; pub struct A;"),
                ("b.rs", of_b),
            ])
        };
        assert_eq!(files("use crate::A;"), ["a uses b; b uses a"]);
        assert!(files("use crate::D;").is_empty());
    }

    #[test]
    fn tests_visibilities_and_other_crates_do_not_count() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; use std::b; pub(in crate::b) struct A;"),
            ("b.rs", "#[cfg(test)] mod tests { use crate::a::A; } /// [`crate::a`]\nfn f() {}"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn what_the_root_defines_counts() {
        let found = circles(&[("main.rs", "mod a; use a::A; struct B;"), ("a.rs", "use crate::B;")]);
        assert_eq!(found, ["the root uses a; a uses the root"]);
        let found = circles(&[("lib.rs", "mod a; pub use a::A;"), ("a.rs", "use crate::A; use crate::*;")]);
        assert!(found.is_empty(), "{found:?}");
    }
}
