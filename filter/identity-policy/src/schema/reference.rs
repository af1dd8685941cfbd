//! The tables of `docs/filter.md`: what each field of the configuration means.

/// What the page says of fields.
pub(crate) struct Reference {
    rows: Vec<Row>,
}

struct Row {
    /// The heading that the table stands under.
    section: String,
    field: String,
    text: String,
}

impl Reference {
    pub(crate) fn read() -> Self {
        let mut rows = Vec::new();
        let mut section = String::new();
        let mut columns = Vec::new();
        for line in PAGE.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                section = heading.into();
            }
            let Some(cells) = cells(line) else {
                columns.clear();
                continue;
            };
            if cells
                .iter()
                .all(|cell| cell.bytes().all(|byte| byte == b'-'))
            {
                continue;
            }
            if columns.is_empty() {
                columns = cells;
                continue;
            }
            let first = columns.first().map(String::as_str);
            if !matches!(first, Some("field" | "fact" | "test")) {
                continue;
            }
            let cell = |name: &str| {
                let column = columns.iter().position(|column| column.starts_with(name));
                column
                    .and_then(|column| cells.get(column))
                    .cloned()
                    .unwrap_or_default()
            };
            let field = cells.first().and_then(|cell| cell.split('`').nth(1));
            let Some(field) = field else {
                continue;
            };
            let meaning = match first {
                Some("field") => cell("meaning"),
                Some("test") => format!("Holds when the fact {}", cell("holds")),
                // One fact may be asked for in several ways.
                _ => format!("{}: {}", cell("fact"), cell("what it is")),
            };
            let kind = match (cell("type"), cell("default")) {
                (kind, _) if kind.is_empty() => String::new(),
                (kind, default) if default.is_empty() => kind,
                (kind, default) if default == "required" => format!("{kind}; required"),
                (kind, default) => format!("{kind}; default: {default}"),
            };
            let parts = [kind, meaning];
            let text: Vec<_> = parts
                .iter()
                .filter(|part| !part.is_empty())
                .map(String::as_str)
                .collect();
            // Of `contains: TEXT`, the name.
            let field = field.split(':').next().unwrap_or(field);
            rows.push(Row {
                section: section.clone(),
                field: field.into(),
                text: text.join(". "),
            });
        }
        Self { rows }
    }

    /// What is said of a field at a place such as `providers[].jwks.uri`, of an object of this name.
    pub(crate) fn find(&self, place: &str, object: &str) -> Option<String> {
        let root = place.split(['.', '[']).next().unwrap_or(place);
        let section = match object {
            "ClaimHeader" => "Headers of claims".to_owned(),
            "Condition" => "Conditions".to_owned(),
            _ => format!("`{root}`"),
        };
        // The page names fields from their section on, and those of `jwks` from there.
        let mut rest = place;
        loop {
            let found = self.rows.iter().filter(|row| {
                row.field == rest && (rest == place || row.section.contains(&section))
            });
            let texts: Vec<_> = found.map(|row| row.text.as_str()).collect();
            if !texts.is_empty() {
                return Some(texts.join("\n")).filter(|text| !text.is_empty());
            }
            rest = rest.split_once('.')?.1;
        }
    }
}

/// The cells of a table's line, without links; nothing for other lines.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line
        .strip_prefix("| ")?
        .strip_suffix('|')?
        .replace("\\|", "\u{0}");
    let cells = inner
        .split(" | ")
        .map(|cell| without_links(cell.trim().trim_end_matches('|').trim()).replace('\u{0}', "|"));
    Some(cells.collect())
}

/// Of `[text](target)`, the text.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let link = after
            .split_once(']')
            .and_then(|(text, tail)| Some((text, tail.strip_prefix('(')?.split_once(')')?.1)));
        if let Some((text, tail)) = link {
            plain.push_str(text);
            rest = tail;
        } else {
            plain.push('[');
            rest = after;
        }
    }
    plain + rest
}

const PAGE: &str = include_str!("../../../../docs/filter.md");
