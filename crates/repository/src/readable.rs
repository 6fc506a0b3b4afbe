//! A repository of which some snapshots cannot be read: the others are sets as before, and a CA comes back from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certadm_files::cancel;
use certadm_set::Silent;
use rustic_core::FileType;

use crate::address::Selector;
use crate::bridge::{Bridge, id_of};
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::hiding::Hiding;
use crate::lately::now;
use crate::objects::Objects;
use crate::point::{self, Point, Readable, select};
use crate::vault::CaRepository;

impl CaRepository {
    /// The sets that can be read, and the snapshots that cannot. What deletes something, or leans on what is there, takes
    /// [`CaRepository::points`], which all have to be read for.
    ///
    /// # Errors
    /// As [`CaRepository::points`], but for damaged snapshots.
    pub fn readable(&self) -> Result<Readable> {
        match self.points() {
            Ok(points) => Ok(Readable { points, unreadable: Vec::new() }),
            Err(error @ Error::Damaged { .. }) => {
                let hidden = self.unreadable_snapshots()?;
                if hidden.is_empty() {
                    return Err(error);
                }
                let points = point::points(&self.without(&hidden), &self.secret)?;
                Ok(Readable { points, unreadable: hidden.into_iter().collect() })
            }
            Err(error) => Err(error),
        }
    }

    /// The sets that a selector means: a full set first, then the log sets that a restore needs with it. While a snapshot cannot be
    /// read, nobody knows what is the newest, and sets are found by their ids and generations alone.
    ///
    /// # Errors
    /// [`Error::NoPoint`], and as [`CaRepository::points`].
    pub fn select(&self, selector: &Selector) -> Result<Vec<Point>> {
        let readable = self.readable()?;
        let is_by_age = matches!(selector, Selector::Latest | Selector::LatestFull | Selector::At(_));
        if let Some(name) = readable.unreadable.first().filter(|_| is_by_age) {
            let detail = format!(
                "{name} cannot be read, and may have been the newest set; name another one by its id, as `certadm repository \
                 info` lists them"
            );
            return Err(Error::Damaged { place: self.address(), detail });
        }
        select(&readable.points, selector, now())
            .map_err(|detail| Error::NoPoint { place: self.address(), detail })
    }

    /// The names of the snapshots that cannot be read: their bytes have changed, or nobody with the key has written them.
    ///
    /// # Errors
    /// As [`CaRepository::points`].
    pub(crate) fn unreadable_snapshots(&self) -> Result<BTreeSet<String>> {
        let mut hidden = self.changed_in(&self.objects, FileType::Snapshot, &mut |_, _| true, &mut Silent)?;
        match point::points(&self.without(&hidden), &self.secret) {
            Ok(_) => return Ok(hidden),
            Err(Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        // The bytes of one are what its name says, and no snapshot.
        let objects = self.without(&hidden);
        let bridge = Bridge::new(Arc::clone(&objects));
        let opened = engine::open(&bridge, &self.secret)?;
        let listed = objects
            .list(FileType::Snapshot.dirname())
            .map_err(|source| Error::Storage { place: objects.place(), source })?;
        for (name, _) in listed {
            cancel::check()?;
            let Some(id) = id_of(&name) else { continue };
            let read = call(&bridge, "read a snapshot", Unexplained::Damage, || {
                opened.get_snapshots(&[id.to_hex().to_string()])
            });
            match read {
                Ok(_) => {}
                Err(Error::Damaged { .. }) => drop(hidden.insert(name)),
                Err(error) => return Err(error),
            }
        }
        Ok(hidden)
    }

    /// The storage without these objects.
    pub(crate) fn without(&self, hidden: &BTreeSet<String>) -> Arc<dyn Objects> {
        let (inner, hidden) = (Arc::clone(&self.objects), hidden.clone());
        Arc::new(Hiding { inner, hidden, late: BTreeMap::new() })
    }
}
