//! The one table of routes: method, path, what it needs, how it is documented. The router, the document
//! and the test of who may do what are all made of it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Components, OpenApi, Paths, RefOr, Schema};
use utoipa_axum::router::UtoipaMethodRouter;

use super::role::Scope;
use super::{Api, auth, document, writes};

/// A request's body, in bytes at the most, where the route does not say otherwise.
const MAX_BODY: usize = 2 << 20;

/// Shapes by their names.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: machines ask it, or people who have yet to log in.
    Nothing,
    /// Any operator, whatever the scopes.
    Anyone,
    /// An operator with this scope.
    Scope(Scope),
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) needs: Needs,
}

/// The table, and what was made of it so far.
pub(super) struct Table {
    api: Api,
    open: Router<Api>,
    guarded: Router<Api>,
    document: OpenApi,
    entries: Vec<Entry>,
    collisions: Vec<String>,
}

impl Table {
    pub(super) fn new(api: &Api) -> Self {
        Self {
            api: api.clone(),
            open: Router::new(),
            guarded: Router::new(),
            document: document::empty(),
            entries: Vec::new(),
            collisions: Vec::new(),
        }
    }

    /// A line: what it needs, and the handler by `utoipa_axum::routes!`. The path is there with and without
    /// the trailing slash: the mission's paths end in one, hands forget it. What changes something is
    /// audited, and may be repeated under an `Idempotency-Key`.
    pub(super) fn route(self, needs: Needs, handler: UtoipaMethodRouter<Api>) -> Self {
        self.route_of_size(needs, MAX_BODY, handler)
    }

    /// The same, of a route that takes larger bodies.
    pub(super) fn route_of_size(
        self,
        needs: Needs,
        max_body: usize,
        (schemas, paths, handler): UtoipaMethodRouter<Api>,
    ) -> Self {
        let api = self.api.clone();
        self.lines(needs, (schemas, paths), |bare| {
            let rule = writes::Rule { api: api.clone(), max_body, route: bare.into() };
            handler
                .clone()
                .route_layer(DefaultBodyLimit::max(max_body))
                .route_layer(from_fn_with_state(rule, writes::carry_out))
                .route_layer(from_fn_with_state(needs, auth::require))
        })
    }

    /// A line for what applications hand in, many times a second: no operator's change, so that nothing of
    /// it is audited; that it counts once is the handler's to see to, beyond a restart.
    pub(super) fn feed(self, needs: Needs, (schemas, paths, handler): UtoipaMethodRouter<Api>) -> Self {
        self.lines(needs, (schemas, paths), |_| {
            handler
                .clone()
                .route_layer(DefaultBodyLimit::max(MAX_BODY))
                .route_layer(from_fn_with_state(needs, auth::require))
        })
    }

    fn lines(
        mut self,
        needs: Needs,
        (schemas, paths): (Schemas, Paths),
        handler: impl Fn(&str) -> MethodRouter<Api>,
    ) -> Self {
        for (path, mut item) in paths.paths {
            let bare = path.trim_end_matches('/');
            let handler = handler(bare);
            for path in [bare.to_owned(), format!("{bare}/")] {
                let router = if needs == Needs::Nothing { &mut self.open } else { &mut self.guarded };
                *router = std::mem::take(router).route(&path, handler.clone());
            }
            for (method, operation) in operations(&mut item) {
                document::complete(operation, &method, &path, needs);
                self.entries.push(Entry { method, path: path.clone(), needs });
            }
            match self.document.paths.paths.get_mut(&path) {
                Some(known) => known.merge_operations(item),
                None => _ = self.document.paths.paths.insert(path, item),
            }
        }
        for (name, schema) in schemas {
            self.describe(name, schema);
        }
        self
    }

    fn describe(&mut self, name: String, schema: RefOr<Schema>) {
        let components = self.document.components.get_or_insert_with(Components::new);
        match components.schemas.get(&name) {
            Some(known) if *known != schema => self.collisions.push(name),
            Some(_) => {}
            None => _ = components.schemas.insert(name, schema),
        }
    }

    /// The routes for everyone, the routes for operators, and the document.
    pub(super) fn into_parts(self) -> (Router<Api>, Router<Api>, OpenApi) {
        (self.open, self.guarded, self.document)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Names that two types of different shape claim in the document.
    #[cfg(test)]
    pub(super) fn collisions(&self) -> &[String] {
        &self.collisions
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
