//! Bars on a logarithmic scale, as SVG.

use std::path::Path;

use e2e::error::HarnessError;
use plotters::prelude::*;

/// What is measured once for each of several things, such as algorithms.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

const WIDTH: u32 = 860;
const BAR: u32 = 16;
const GAP: u32 = 14;
const COLOURS: [RGBColor; 4] = [
    RGBColor(31, 92, 153),
    RGBColor(214, 137, 16),
    RGBColor(84, 130, 53),
    RGBColor(150, 75, 140),
];

/// Writes a bar for each value of each row, from the top down; `legend` names the values of a row.
pub(crate) fn bars(
    title: &str,
    unit: &str,
    legend: &[&str],
    rows: &[Row],
    path: &Path,
) -> Result<(), HarnessError> {
    draw(title, unit, legend, rows, path).map_err(|why| HarnessError::Answer {
        peer: format!("the plot {}", path.display()),
        got: why.to_string(),
        expected: "a file that can be written",
    })
}

fn draw(
    title: &str,
    unit: &str,
    legend: &[&str],
    rows: &[Row],
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let count = |number: usize| u32::try_from(number);
    let row_height = count(legend.len())? * BAR + GAP;
    let height = count(rows.len())? * row_height;
    let largest = rows.iter().flat_map(|row| &row.values).copied();
    let largest = largest.fold(10.0, f64::max) * 2.0;
    let root = SVGBackend::new(path, (WIDTH, height + 110)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(270)
        .build_cartesian_2d(
            (1.0..largest).log_scale(),
            // Pixels, from the top down.
            f64::from(height)..0.0,
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(unit)
        .x_labels(5)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    for (number, name) in legend.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut elements = Vec::new();
        for (place, row) in (0_u32..).zip(rows) {
            let Some(value) = row.values.get(number) else {
                continue;
            };
            let top = f64::from(place * row_height + GAP / 2 + count(number)? * BAR);
            elements.push((top, value.max(1.0)));
        }
        let bar = f64::from(BAR);
        chart
            .draw_series(elements.iter().map(|(top, value)| {
                Rectangle::new([(1.0, *top), (*value, top + bar - 2.0)], colour.filled())
            }))?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        chart.draw_series(elements.iter().map(|(top, value)| {
            let text = format!(" {value:.0}");
            Text::new(text, (*value, *top), ("sans-serif", 13))
        }))?;
    }
    for (place, row) in (0_u32..).zip(rows) {
        let middle = f64::from(place * row_height + row_height / 2);
        let (_, y) = chart.plotting_area().map_coordinate(&(1.0, middle));
        let style = ("sans-serif", 14).into_text_style(&root);
        root.draw_text(&row.name, &style, (12, y - 7))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
