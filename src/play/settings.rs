/// What the command line says about a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nothing is done; what would be is told.
    pub check: bool,
    /// Nothing at all is done, not even what `check_mode: false` says is done in check mode as well: a plan.
    pub only_looks: bool,
    /// What differs is told with its texts.
    pub diff: bool,
    /// Only hosts of this pattern.
    pub limit: Option<String>,
    /// Only tasks with one of these tags; `all` where it is empty.
    pub tags: Vec<String>,
    /// No tasks with one of these tags.
    pub skip_tags: Vec<String>,
    /// Tasks before the one of this name are left out; `*` stands for anything.
    pub start_at_task: Option<String>,
    /// So many hosts at once.
    pub forks: usize,
}

/// How many hosts are worked on at once where nobody says otherwise.
pub const FORKS: usize = 16;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            check: false,
            only_looks: false,
            diff: false,
            limit: None,
            tags: vec![],
            skip_tags: vec![],
            start_at_task: None,
            forks: FORKS,
        }
    }
}
