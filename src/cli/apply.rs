use super::common::{Planned, RunArgs, Selection, SiteArgs, complain, interruptible, planned};
use super::{Exit, Global, saved};

/// `lxdeploy apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes the server as the site says: plans, shows, asks, runs. A plan that was saved is planned again, and run
/// without asking if it is still the same.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let planning = async {
        match saved::open(&args.site, &args.selection, global)? {
            Some(saved) => Ok((saved.planned(global).await?, true)),
            None => Ok((planned(&args.site, &args.selection, false, global).await?, false)),
        }
    };
    match interruptible(planning).await {
        Ok((planned, is_agreed)) => planned.execute(&args.run, is_agreed, global).await,
        Err(exit) => exit,
    }
}

impl Planned {
    /// Shows the plan and runs it.
    pub async fn execute(self, args: &RunArgs, is_agreed: bool, global: &Global) -> Exit {
        // Who is asked is shown all of it; who has agreed sees it happen.
        let preview = match args.yes || is_agreed {
            true => None,
            false => match interruptible(self.preview(global)).await {
                Ok(preview) => preview,
                Err(exit) => return exit,
            },
        };
        self.opened.show(&self.plan, preview.as_ref(), args.format, global);
        if !self.plan.refused.is_empty() {
            return complain(global, "the plan holds a refusal; nothing was written");
        }
        if self.plan.is_empty() && !self.plan.has_plays() {
            self.remove_dead_locks().await;
            return Exit::Done;
        }
        self.run(args, is_agreed, global).await
    }
}
