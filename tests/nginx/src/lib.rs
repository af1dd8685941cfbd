//! Nothing: a package must have a target to have dependencies.
