//! Kubernetes resources out of files, as far as an import reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use crate::document::Source;
use crate::error::Error;
use crate::place::{Place, Step, steps};

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AuthorizationPolicy,
    Gateway,
    RequestAuthentication,
    Service,
    VirtualService,
}

/// One resource and where it stands.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) value: Value,
    source: Rc<Source>,
    document: usize,
    /// The way to it, when it is one of a list.
    path: Vec<Step>,
}

impl Resource {
    pub(crate) fn file(&self) -> &str {
        &self.source.name
    }

    /// The line of a field, or of the last on the way to it that is there.
    pub(crate) fn line(&self, field: &str) -> Option<usize> {
        let path = [self.path.as_slice(), &steps(field)].concat();
        Place::find(&self.source.text, self.document, &path).map(|place| place.line)
    }

    /// `AuthorizationPolicy shop/orders`.
    pub(crate) fn title(&self) -> String {
        format!("{:?} {}/{}", self.kind, self.namespace, self.name)
    }

    pub(crate) fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The elements of a list; nothing where there is none.
    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        list(self.at(pointer))
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str)
    }
}

/// The elements of a value that is a list; nothing of any other.
pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Every resource of the files and folders that an import reads, in the order of their paths and places.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Resource>, Error> {
    let mut paths = Vec::new();
    for file in files {
        collect(file, &mut paths, true)?;
    }
    let mut found = Vec::new();
    for path in &paths {
        let source = Rc::new(Source::read(path)?);
        let documents = source.documents().map_err(|unreadable| {
            let place = unreadable
                .place
                .map_or_else(String::new, |place| format!("{place}: "));
            Error::NotYaml {
                file: source.name.clone(),
                problem: format!("{place}{}", unreadable.problem),
            }
        })?;
        for (index, document) in documents.into_iter().enumerate() {
            add(&source, index, Vec::new(), document, &mut found);
        }
    }
    let has_policy = found.iter().any(|resource| {
        matches!(
            resource.kind,
            Kind::AuthorizationPolicy | Kind::RequestAuthentication
        )
    });
    if has_policy {
        Ok(found)
    } else {
        Err(Error::NoPolicy)
    }
}

fn collect(path: &Path, paths: &mut Vec<PathBuf>, is_named: bool) -> Result<(), Error> {
    let unreadable = |cause| Error::Unreadable {
        file: path.into(),
        cause,
    };
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let mut inner = Vec::new();
        for entry in entries {
            inner.push(entry.map_err(unreadable)?.path());
        }
        inner.sort();
        for path in inner {
            collect(&path, paths, false)?;
        }
    } else if is_named
        || path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
    {
        paths.push(path.into());
    }
    Ok(())
}

fn add(
    source: &Rc<Source>,
    document: usize,
    path: Vec<Step>,
    value: Value,
    found: &mut Vec<Resource>,
) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    if text("/kind").is_some_and(|kind| kind.ends_with("List")) {
        for (index, item) in list(value.get("items")).iter().enumerate() {
            let step = [Step::Name("items".into()), Step::Index(index)];
            add(
                source,
                document,
                [path.as_slice(), &step].concat(),
                item.clone(),
                found,
            );
        }
        return;
    }
    let group = text("/apiVersion").unwrap_or_default();
    let is_of = |name: &str| group.split('/').next() == Some(name);
    let kind = match text("/kind").unwrap_or_default() {
        "AuthorizationPolicy" if is_of("security.istio.io") => Kind::AuthorizationPolicy,
        "Gateway" if is_of("networking.istio.io") => Kind::Gateway,
        "RequestAuthentication" if is_of("security.istio.io") => Kind::RequestAuthentication,
        "Service" if group == "v1" => Kind::Service,
        "VirtualService" if is_of("networking.istio.io") => Kind::VirtualService,
        _ => return,
    };
    found.push(Resource {
        kind,
        name: text("/metadata/name").unwrap_or_default().into(),
        namespace: text("/metadata/namespace").unwrap_or("default").into(),
        source: Rc::clone(source),
        document,
        path,
        value,
    });
}
