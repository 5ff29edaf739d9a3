//! What a plan would do inside of the instances.

use super::common::{Planned, complain};
use super::{Exit, Global};
use crate::apply;
use crate::model::Preview;
use crate::play::Settings;

impl Planned {
    /// Asks the guests what the plan's roles and playbooks would change; nothing is done. `None` where none are run.
    ///
    /// # Errors
    /// What is wrong with roles and playbooks, told already.
    pub async fn preview(&self, global: &Global) -> Result<Option<Preview>, Exit> {
        if !self.plan.has_plays() || !self.plan.refused.is_empty() {
            return Ok(None);
        }
        let settings = Settings { check: true, only_looks: true, diff: true, ..Settings::default() };
        let plays = self.opened.plays(&self.snapshot, self.keys.clone(), settings, &[]);
        let plays = plays.map_err(|reason| complain(global, &reason))?;
        let preview = apply::preview(&self.plan, &plays, &self.snapshot, &self.opened.client).await;
        let told = |problems: Vec<String>| {
            let text = problems.join("\n  ");
            complain(global, &self.opened.masker.mask(&text))
        };
        preview.map(Some).map_err(told)
    }
}
