//! What is run inside of instances: their own roles when they are up, and playbooks in the end.

use std::path::PathBuf;
use std::time::Duration;

use super::step::{Context, Failure, One};
use crate::diagnostic::Diagnostic;
use crate::guest::{self, Session};
use crate::kinds::{Check, Condition};
use crate::model::{Event, PlayEvent};
use crate::play::run::Sessions;
use crate::play::{Interpreter, Inventory, RoleUse, Settings, Shelf};

/// How long a guest may take until its init is up.
const UP: Duration = Duration::from_secs(180);

/// What plays are run with.
#[derive(Debug)]
pub struct Plays {
    /// Playbooks, roles and variables.
    pub shelf: Shelf,
    /// The site's instances.
    pub inventory: Inventory,
    /// The command line.
    pub settings: Settings,
    /// The site's directory.
    pub directory: PathBuf,
}

impl Plays {
    /// What runs them.
    pub fn interpreter<'a>(&self, sessions: Sessions<'a>, tell: &'a dyn Fn(PlayEvent)) -> Interpreter<'a> {
        let (inventory, settings) = (self.inventory.clone(), self.settings.clone());
        Interpreter::new(&self.shelf, inventory, self.directory.clone(), settings, sessions, tell)
    }

    /// A finding in words, with its place.
    pub fn told(&self, diagnostic: &Diagnostic) -> String {
        let place = diagnostic.span.map(|span| format!("{}: ", self.shelf.library.place(span))).unwrap_or_default();
        let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{place}{}{help}", diagnostic.message)
    }
}

impl One<'_> {
    /// Waits until the guest is up, and runs the instance's roles.
    pub(super) async fn provision(&self) -> Result<(), Failure> {
        let (Some(interpreter), Some(plays)) = (self.context.interpreter, self.context.run.plays) else {
            return Err(Failure::because("nothing to provision with"));
        };
        let Some(lifecycle) = self.object()?.lifecycle.as_ref() else { return Ok(()) };
        let id = self.id();
        // Addresses and cloud-init come before whatever is installed; the other checks are of what the roles bring.
        let is_first = |check: &&Check| matches!(check.condition, Condition::Ipv4 | Condition::CloudInit);
        let first: Vec<Check> = lifecycle.ready.iter().filter(is_first).cloned().collect();
        guest::wait_ready(self.client, &id, &first, lifecycle.ready_timeout)
            .await
            .map_err(|not_ready| Failure { message: not_ready.message, details: not_ready.log_lines })?;
        let session = Session::new(self.client, &id);
        session.wait_up(UP).await.map_err(|error| Failure::because(error.to_string()))?;
        let host = &self.step.address.key;
        let uses: Vec<RoleUse> =
            lifecycle.roles.iter().map(|role| RoleUse::of_site(&role.name, &role.vars, &role.tags)).collect();
        let play = plays.shelf.roles(&plays.directory, host, &uses);
        let play = play.map_err(|diagnostic| Failure::because(plays.told(&diagnostic)))?;
        self.played(interpreter.run(vec![play]).await, interpreter, plays)
    }

    fn played(
        &self,
        result: Result<bool, Vec<Diagnostic>>,
        interpreter: &Interpreter<'_>,
        plays: &Plays,
    ) -> Result<(), Failure> {
        let host = format!("{}: ", self.step.address.key);
        match result {
            Ok(true) => Ok(()),
            Ok(false) => {
                let failures = interpreter.take_failures();
                let mine = failures.iter().find_map(|failure| failure.strip_prefix(&host));
                Err(Failure::because(mine.unwrap_or("a task failed")))
            }
            Err(problems) => {
                let mut lines = problems.iter().map(|problem| plays.told(problem));
                let message = lines.next().unwrap_or_default();
                Err(Failure { message, details: lines.collect() })
            }
        }
    }
}

/// Runs the plan's playbooks. True if all went well.
pub async fn playbooks(context: &Context<'_>, interpreter: &Interpreter<'_>) -> bool {
    let Some(plays) = context.run.plays else { return true };
    let note = |text: String| drop(context.events.send(Event::Note { text }));
    for playbook in &context.plan.playbooks {
        let result = match plays.shelf.playbook(playbook) {
            Ok(read) => interpreter.run(read).await,
            Err(problem) => Err(vec![problem]),
        };
        match result {
            Ok(true) => {}
            Ok(false) => return false,
            Err(problems) => {
                problems.iter().for_each(|problem| note(plays.told(problem)));
                return false;
            }
        }
    }
    true
}
