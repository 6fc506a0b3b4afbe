//! Which sets of a repository are of which past of their CA, where that is in doubt.

use std::sync::Arc;

use certadm_rules::Generation;
use certadm_set::links::{Links, doubtful};
use certadm_set::stored::{Stored, has_begun_again};
use rustic_core::repofile::BlobType;

use crate::engine::{Unexplained, call};
use crate::error::{Error, Result};
use crate::point::Point;
use crate::reader::Reader;
use crate::vault::CaRepository;

impl CaRepository {
    /// Adds which logs sets hold where numbers of generations have begun again: two requests a set, of such a repository alone. What
    /// cannot be read is told when it is needed; here it leaves numbers and dates to tell.
    pub(crate) fn with_pasts(&self, mut points: Vec<Point>) -> Vec<Point> {
        let all: Vec<&Point> = points.iter().collect();
        if !has_begun_again(&all, crate::lately::now()) {
            return points;
        }
        let Ok(reader) = self.reading() else { return points };
        for point in &mut points {
            let Ok(Ok(seen)) = reader.seen(point) else { continue };
            point.links = Links::of_manifest(&seen.manifest).map(Arc::new);
        }
        reader.tell_pasts(&mut points).ok();
        points
    }
}

impl Reader {
    /// Has the headers of logs tell what manifests leave in doubt: whether two files of one number are one log. A set one of whose logs
    /// cannot be read tells nothing.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn tell_pasts(&self, points: &mut [Point]) -> Result<()> {
        let stream = |point: &Point| (point.ca.clone(), point.database.clone(), point.stream.clone());
        let all: Vec<_> = points.iter().map(stream).collect();
        let in_doubt = doubtful(all.iter().zip(points.iter().map(Stored::links)));
        let in_doubt: Vec<bool> = all.iter().map(|stream| in_doubt.contains(&stream)).collect();
        let tells = |point: &Point| point.links.as_deref().is_some_and(Links::tell_logs);
        for (point, in_doubt) in points.iter_mut().zip(in_doubt) {
            if !in_doubt || tells(point) {
                continue;
            }
            certadm_files::cancel::check()?;
            point.links = match self.links(point) {
                Err(Error::Damaged { .. }) => None,
                other => other?.map(Arc::new),
            };
        }
        Ok(())
    }

    /// The logs of a set by the headers with which they begin.
    fn links(&self, point: &Point) -> Result<Option<Links>> {
        let mut beginnings = Vec::new();
        for (path, node) in self.files(point.tree)? {
            let name = path.rsplit('/').next().unwrap_or_default();
            if Generation::from_log_file_name(name).is_none() {
                continue;
            }
            let Some(first) = node.content.iter().flatten().next() else { return Ok(None) };
            beginnings.push(call(&self.bridge, "read a part of a log", Unexplained::Damage, || {
                self.repository.cat_blob(BlobType::Data, &first.to_hex())
            })?);
        }
        Ok(Links::of_beginnings(beginnings.iter().map(AsRef::as_ref)))
    }
}
