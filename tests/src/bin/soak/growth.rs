//! What may not grow in the course of a run: figures that were taken again and again, from the end of the warm-up on.

/// One figure of a sample, and by how much it may be larger later than it was after the warm-up.
pub(crate) struct Bound<Sample> {
    pub(crate) name: &'static str,
    pub(crate) figure: fn(&Sample) -> u64,
    pub(crate) more: u64,
}

/// What has grown beyond its bound. A figure of 0 is none: the process was gone.
pub(crate) fn problems<'samples, Sample: 'samples>(
    warm: impl Iterator<Item = &'samples Sample> + Clone,
    bounds: &[Bound<Sample>],
) -> Vec<String> {
    let Some(first) = warm.clone().next() else {
        return vec!["nobody looked at memory after the warm-up".to_owned()];
    };
    let mut grown = Vec::new();
    for Bound { name, figure, more } in bounds {
        let most = warm.clone().map(figure).max().unwrap_or_default();
        let base = figure(first);
        if base == 0 || most > base + more {
            grown.push(format!(
                "{name}: {base} after the warm-up, later {most}; {more} more are allowed"
            ));
        }
    }
    grown
}

/// How much of a run it is, in percent.
pub(crate) const WARM_UP: u64 = 20;
