//! How an upstream is, for whoever asks: the doors tell, and the API shows.

/// Whether requests are sent to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They are.
    Up,
    /// It failed some requests in a row, and is asked only where no other is left.
    Resting,
    /// It failed its checks, and gets none.
    Down,
}

impl State {
    /// The state's name in the API and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Resting => "resting",
            Self::Down => "down",
        }
    }
}

/// One upstream of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The site's name.
    pub site: String,
    /// Host and port, as they are configured.
    pub upstream: String,
    /// Whether it gets requests.
    pub state: State,
    /// Requests in progress.
    pub active: usize,
}
