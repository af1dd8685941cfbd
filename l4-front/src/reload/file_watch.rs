//! Tells when the files that the configuration is read from have changed. Pure: it is told how they
//! look.

use std::path::PathBuf;

use crate::config::{SourceFile, Stamp};

/// See the module.
#[derive(Debug)]
pub(crate) struct FileWatch {
    paths: Vec<PathBuf>,
    /// As they were when they were read, or when a change was told.
    read: Vec<Option<Stamp>>,
    /// As they were at the last look, if that was different.
    last: Option<Vec<Option<Stamp>>>,
}

impl FileWatch {
    pub(crate) fn new(files: &[SourceFile]) -> Self {
        let mut files: Vec<_> = files.iter().collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        // Of a file that was read twice, the first look counts: the sort keeps the order.
        files.dedup_by(|one, other| one.path == other.path);
        Self {
            paths: files.iter().map(|file| file.path.clone()).collect(),
            read: files.iter().map(|file| file.stamp).collect(),
            last: None,
        }
    }

    /// Takes in what was read in vain.
    pub(crate) fn add(&mut self, files: &[SourceFile]) {
        let new = Self::new(files);
        for (path, stamp) in new.paths.into_iter().zip(new.read) {
            let place = self.paths.iter().position(|known| *known == path);
            match place.and_then(|place| self.read.get_mut(place)) {
                Some(read) => *read = stamp,
                None => {
                    self.paths.push(path);
                    self.read.push(stamp);
                }
            }
        }
        self.last = None;
    }

    /// What to look at.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }

    /// Takes in one look. True once the files differ from what was read, and look as they did the
    /// last time: whoever writes them has had the time between to finish.
    #[must_use]
    pub(crate) fn look(&mut self, now: Vec<Option<Stamp>>) -> bool {
        if now == self.read {
            self.last = None;
            return false;
        }
        if self.last.as_ref() != Some(&now) {
            self.last = Some(now);
            return false;
        }
        // Whatever becomes of this change, it is not another one.
        self.read = now;
        self.last = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_when_it_stands_still() {
        let watch = |stamp| FileWatch {
            paths: vec![PathBuf::from("a")],
            read: vec![stamp],
            last: None,
        };
        let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        fs::create_dir(&folder).unwrap();
        let stamps: Vec<_> = (1..4)
            .map(|size| {
                let path = folder.join(size.to_string());
                fs::write(&path, vec![0; size]).unwrap();
                Stamp::of(&path)
            })
            .collect();
        fs::remove_dir_all(&folder).unwrap();
        let mut files = watch(stamps[0]);
        let looks = [
            (0, false),
            (1, false),
            (2, false),
            (2, true),
            (2, false),
            (0, false),
            (2, false),
            (0, false),
            (0, true),
        ];
        for (place, (stamp, settled)) in looks.into_iter().enumerate() {
            assert_eq!(files.look(vec![stamps[stamp]]), settled, "look {place}");
        }
        assert!(!files.look(vec![None]) && files.look(vec![None]), "gone");

        let file = |name: &str, stamp| SourceFile {
            path: PathBuf::from(name),
            stamp,
            content: [0; 32],
        };
        files.add(&[file("a", stamps[1]), file("b", None)]);
        assert!(
            !files.look(vec![stamps[1], None]),
            "as they were read in vain"
        );
        assert!(!files.look(vec![stamps[1], stamps[2]]));
        assert!(
            files.look(vec![stamps[1], stamps[2]]),
            "the one that was missing"
        );
    }
}
